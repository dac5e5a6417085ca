/** What the journal is held against: entries as plain data, and the state that they add up to. */

import { SUFFIX_BYTES } from '../../src/counter/key.ts';
import { putDeadline } from '../../src/journal/entries/deadline.ts';
import { putDelete } from '../../src/journal/entries/delete.ts';
import { putForgotten } from '../../src/journal/entries/forgotten.ts';
import type { IdempotencyRecord } from '../../src/journal/entries/idempotency.ts';
import { putIdempotency } from '../../src/journal/entries/idempotency.ts';
import type { ImportId } from '../../src/journal/entries/import-id.ts';
import { putImportId } from '../../src/journal/entries/import-id.ts';
import { putValue, ValueEntry, type Values } from '../../src/journal/entries/value.ts';
import type { GroupBuffer } from '../../src/journal/group.ts';
import type { Replay } from '../../src/journal/replay.ts';

/** A record's key: kind, and name with suffix as Latin-1. */
export interface ModelKey {
  readonly kind: number;
  readonly bytes: string;
}

export type ModelEntry =
  | {
      readonly entry: 'value';
      readonly key: ModelKey;
      readonly low: number;
      readonly high: number;
      readonly at: number;
    }
  | { readonly entry: 'deadline'; readonly key: ModelKey; readonly ms: number }
  | { readonly entry: 'delete'; readonly key: ModelKey }
  | { readonly entry: 'idempotency'; readonly key: string; readonly answer: string; readonly ms: number }
  | { readonly entry: 'import'; readonly digest: string; readonly content: string; readonly ms: number }
  | { readonly entry: 'forgotten'; readonly from: number; readonly through: number }
  /** Of earlier versions: only read. */
  | { readonly entry: 'horizon'; readonly ms: number };

export interface ModelGroup {
  readonly sequence: bigint;
  readonly entries: readonly ModelEntry[];
}

/** What is there: by name, the entries that state it. */
export type ModelState = Map<string, readonly ModelEntry[]>;

export function replayEntry(state: ModelState, entry: ModelEntry): void {
  const name = nameOf(entry);
  if (entry.entry === 'delete') state.delete(name);
  else if (entry.entry === 'deadline') state.set(name, [...(state.get(name) ?? []), entry]);
  else state.set(name, [entry]);
}

/** What an entry is about: a record, with its deadline; an idempotency key; an import; what was forgotten. */
export function nameOf(entry: ModelEntry): string {
  if (entry.entry === 'horizon') return 'horizon';
  if (entry.entry === 'forgotten') return `forgotten ${entry.from}`;
  if (entry.entry === 'import') return `import ${entry.digest}`;
  if (entry.entry === 'idempotency') return `answer to ${entry.key}`;
  return `record ${entry.key.kind}/${entry.key.bytes}`;
}

export function stateText(state: ModelState): string {
  return JSON.stringify([...state].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function put(buffer: GroupBuffer, entry: ModelEntry): void {
  switch (entry.entry) {
    case 'idempotency': {
      const outcomes = Buffer.from(entry.answer);
      const fingerprint = outcomes.subarray(0, 32).toString('hex');
      putIdempotency(buffer, { scope: 'request', key: entry.key, fingerprint, appliedAtMs: entry.ms, outcomes });
      return;
    }
    case 'import':
      putImportId(buffer, { digest: entry.digest, content: entry.content, appliedAtMs: entry.ms });
      return;
    case 'forgotten':
      putForgotten(buffer, entry.from, entry.through);
      return;
    case 'horizon':
      throw new Error('nobody writes it any more');
    default:
  }
  // A key lies somewhere in a larger buffer, as it does in the engine.
  const start = entry.key.bytes.length % 3;
  const key = new Int32Array(start + Math.ceil(entry.key.bytes.length / 4)).fill(0x55555555);
  Buffer.from(key.buffer).write(entry.key.bytes, start * 4, 'latin1');
  const { kind } = entry.key;
  const nameLength = entry.key.bytes.length - SUFFIX_BYTES[kind];
  if (entry.entry === 'value') putValue(buffer, entry.low, entry.high, entry.at, kind, nameLength, key, start);
  else if (entry.entry === 'deadline') putDeadline(buffer, entry.ms, kind, nameLength, key, start);
  else putDelete(buffer, kind, nameLength, key, start);
}

/** Keeps what recovery feeds. */
export class Recorder implements Replay {
  readonly groups: { readonly sequence: bigint; readonly entries: ModelEntry[] }[] = [];
  readonly state: ModelState = new Map();

  group(sequence: bigint, _timeMs: number): void {
    this.groups.push({ sequence, entries: [] });
  }

  beginSnapshot(): void {
    // Its groups tell what it holds.
  }

  endSnapshot(): void {
    // Likewise.
  }

  values({ words, view, at, count }: Values): void {
    for (const word of at.subarray(0, count)) {
      const [low, high, updatedAt, kindAndLength] = words.subarray(word, word + ValueEntry.key);
      const key = keyAt(kindAndLength & 0xff, kindAndLength >>> 8, view, (word + ValueEntry.key) * 4);
      this.#keep({ entry: 'value', key, low, high, at: updatedAt >>> 0 });
    }
  }

  table(): void {
    // Its blocks tell what it holds.
  }

  indexLeaf(): void {
    // Likewise.
  }

  blocks(): boolean {
    return false;
  }

  deadline(ms: number, kind: number, nameLength: number, bytes: DataView, start: number): void {
    this.#keep({ entry: 'deadline', key: keyAt(kind, nameLength, bytes, start), ms });
  }

  delete(kind: number, nameLength: number, bytes: DataView, start: number): void {
    this.#keep({ entry: 'delete', key: keyAt(kind, nameLength, bytes, start) });
  }

  idempotency({ key, appliedAtMs, outcomes }: IdempotencyRecord): void {
    this.#keep({ entry: 'idempotency', key, answer: Buffer.from(outcomes).toString(), ms: appliedAtMs });
  }

  importId({ digest, content, appliedAtMs }: ImportId): void {
    this.#keep({ entry: 'import', digest, content, ms: appliedAtMs });
  }

  forgotten(from: number, through: number): void {
    this.#keep({ entry: 'forgotten', from, through });
  }

  horizon(ms: number): void {
    this.#keep({ entry: 'horizon', ms });
  }

  #keep(entry: ModelEntry): void {
    this.groups.at(-1)?.entries.push(entry);
    replayEntry(this.state, entry);
  }
}

function keyAt(kind: number, nameLength: number, bytes: DataView, start: number): ModelKey {
  const key = Buffer.from(bytes.buffer, bytes.byteOffset + start, nameLength + SUFFIX_BYTES[kind]);
  return { kind, bytes: key.toString('latin1') };
}
