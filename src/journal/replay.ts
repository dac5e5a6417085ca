/**
 * What recovery feeds: everything that was durable, in order; first the snapshot's parts, then every group
 * behind its begin. States are absolute, so one that comes twice changes nothing.
 *
 * `key` is a buffer that recovery reuses, as are values: nothing of it may be kept. The bytes of a key, name and suffix, lie
 * in `key[start, start + nameLength + SUFFIX_BYTES[kind])`.
 */
import type { Blocks, IndexSegment, TableHead } from './blocks.ts';

export interface Replay {
  /** What follows belongs to this group; for a snapshot's parts: to the last group that it covers. */
  group(sequence: bigint, timeMs: number): void;
  /** A snapshot's parts follow, about so many entries. A record's deadline follows its state at once. */
  beginSnapshot(entries: number): void;
  /** All of the snapshot has been fed. */
  endSnapshot(): void;
  /** States of records, in order: many at once, so that whoever takes them can work step by step. */
  values(values: Values): void;
  /** The snapshot copies the table as it lay in memory: the segments of its index follow if it says so, then its blocks. */
  table(head: TableHead): void;
  indexSegment(segment: IndexSegment): void;
  /**
   * Blocks of a snapshot, with the states of records. The deadlines of those that have one follow, in their order.
   * @returns false when their states are to be fed as `values` instead.
   */
  blocks(blocks: Blocks): boolean;
  /** Unix ms. */
  deadline(deadlineMs: number, kind: number, nameLength: number, key: DataView, start: number): void;
  /** The record may be unknown. */
  delete(kind: number, nameLength: number, key: DataView, start: number): void;
  idempotency(record: IdempotencyRecord): void;
  importId(id: ImportId): void;
  /** Idempotency keys born from one time through another, Unix ms, are no longer known. */
  forgotten(fromMs: number, throughMs: number): void;
  /** The same of an earlier version, which went by its clock: those born at or before this. */
  horizon(unixMs: number): void;
}

/** Entries with the states of records, where they were read. A record has no deadline unless one follows. */
export interface Values {
  /** The window, as words and to be read at any byte. */
  readonly words: Int32Array;
  readonly view: DataView;
  /** Of each entry the word that it begins at: see `ValueEntry`. */
  readonly at: Int32Array;
  readonly count: number;
}

/** The words of a value entry, from its first on. */
export const ValueEntry = {
  low: 0,
  high: 1,
  /** Unix seconds. */
  updatedAt: 2,
  /** The kind in the lowest byte, the length of the name in the next. */
  kindAndLength: 3,
  /** The key's bytes, padded to a whole word. */
  key: 4,
} as const;

/** The id of an imported chunk, as digests in lower-case hex. */
export interface ImportId {
  /** Of the id, 16 bytes. */
  readonly digest: string;
  /** Of what the chunk held, 8 bytes; zeros: not known. */
  readonly content: string;
  readonly appliedAtMs: number;
}

/** An idempotency key with what was answered; its fields own their memory. */
export interface IdempotencyRecord {
  readonly scope: 'request' | 'import';
  /** 1 to 255 printable ASCII characters. */
  readonly key: string;
  /** Lower-case hex of at most 32 bytes. */
  readonly fingerprint: string;
  readonly appliedAtMs: number;
  /** The outcomes of the commands as the engine packs them; the journal does not look inside. */
  readonly outcomes: Uint8Array;
}
