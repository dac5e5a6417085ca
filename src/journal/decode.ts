/**
 * The entries of a whole frame, fed to a `Replay`. The checksum has said that these bytes are what was written;
 * whatever is wrong with them nevertheless was written wrong, or by a version that knows more, and stops the start.
 */
import { KIND_COUNT, SUFFIX_BYTES } from '../counter/key.ts';
import { Block, findBlocks, haveUnknownKind, MALFORMED_BLOCKS, toValues } from './blocks.ts';
import { DamageError, UnsupportedFormatError } from './errors.ts';
import {
  DEADLINE_FIXED_BYTES,
  DELETE_FIXED_BYTES,
  ENTRY_LENGTH_MASK,
  ENTRY_MUST_UNDERSTAND,
  ENTRY_TYPE_MASK,
  ENTRY_TYPE_SHIFT,
  Entry,
  FORGOTTEN_BYTES,
  Frame,
  HORIZON_BYTES,
  IDEMPOTENCY_FIXED_BYTES,
  IMPORT_ID_BYTES,
  INDEX_SEGMENT_FIXED_BYTES,
  SNAPSHOT_END_BYTES,
  TABLE_BYTES,
  VALUE_FIXED_BYTES,
} from './format.ts';
import type { FrameReader, Window } from './frame.ts';
import { type IdempotencyRecord, type Replay, ValueEntry, type Values } from './replay.ts';

const TWO_TO_32 = 4294967296;
/** By entry type; kind and name length are the last word of them. */
const FIXED_BYTES_BEFORE_KEY: Readonly<Record<number, number>> = {
  [Entry.value]: VALUE_FIXED_BYTES,
  [Entry.deadline]: DEADLINE_FIXED_BYTES,
  [Entry.delete]: DELETE_FIXED_BYTES,
};
/** Fed at once: what belongs to so many stays in the nearest caches, and their pages in the processor's list of pages. */
const VALUES_MAX = 256;
/** So that the directory is no larger than memory that any table needs. */
const INDEX_DEPTH_MAX = 24;
const MALFORMED = 'an entry is malformed';
const UNKNOWN = 'it names a record of a kind that is not known here';

/** What the last entry of a snapshot says. */
export interface SnapshotEnd {
  /** The newest group that may show in the snapshot. */
  readonly sequence: bigint;
  /** Entries before this one. */
  readonly entries: number;
}

/** Where the frame lies, for errors. */
export interface FramePlace {
  readonly file: string;
  readonly offset: number;
}

/**
 * Feeds the entries of the frame that `reader` has found whole.
 * @returns the end of the snapshot, when the frame says it.
 * @throws DamageError, UnsupportedFormatError
 */
export function replayFrame(reader: FrameReader, place: FramePlace, replay: Replay): SnapshotEnd | undefined {
  const { words } = reader.window;
  const end = reader.start + reader.length;
  let at = reader.start + Frame.payload;
  let count = 0;
  let snapshotEnd: SnapshotEnd | undefined;
  const values = new ValueRun(reader);
  while (at < end) {
    const header = words[at >> 2];
    const length = header & ENTRY_LENGTH_MASK;
    const next = at + 4 + ((length + 3) & ~3);
    if (next <= end && isValue(header, words[(at >> 2) + 1 + ValueEntry.kindAndLength])) {
      values.add((at >> 2) + 1, replay);
    } else {
      values.feed(replay);
      if (next > end) throw new DamageError(place.file, place.offset + at - reader.start, MALFORMED);
      snapshotEnd = replayOther(reader, place, at, replay) ?? snapshotEnd;
    }
    at = next;
    count++;
  }
  values.feed(replay);
  if (count !== reader.entries) throw new DamageError(place.file, place.offset, 'the number of its entries is wrong');
  return snapshotEnd;
}

/** Value entries one behind the other, gathered to be fed at once. */
class ValueRun implements Values {
  readonly words: Int32Array;
  readonly view: DataView;
  readonly at: Int32Array;
  count = 0;

  constructor({ window, entries }: FrameReader) {
    this.words = window.words;
    this.view = window.view;
    this.at = new Int32Array(Math.min(entries, VALUES_MAX));
  }

  add(word: number, replay: Replay): void {
    if (this.count === this.at.length) this.feed(replay);
    this.at[this.count++] = word;
  }

  feed(replay: Replay): void {
    if (this.count > 0) replay.values(this);
    this.count = 0;
  }
}

/** Whether it is a value entry, and its variable part as long as its kind and the length of its name say. */
function isValue(header: number, kindAndLength: number): boolean {
  const length = (header & ENTRY_LENGTH_MASK) - VALUE_FIXED_BYTES;
  return ((header >>> ENTRY_TYPE_SHIFT) & ENTRY_TYPE_MASK) === Entry.value && hasKey(length, kindAndLength);
}

/** Feeds an entry that is no value. @returns the end of the snapshot, when it is that. */
function replayOther(reader: FrameReader, place: FramePlace, at: number, replay: Replay): SnapshotEnd | undefined {
  const { words } = reader.window;
  const header = words[at >> 2];
  const length = header & ENTRY_LENGTH_MASK;
  const type = (header >>> ENTRY_TYPE_SHIFT) & ENTRY_TYPE_MASK;
  const payload = at + 4;
  if (type === Entry.snapshotEnd && length === SNAPSHOT_END_BYTES) {
    return { sequence: readSequence(words, payload), entries: readMs(words, payload + 8) };
  }
  if (replayEntry(reader, type, payload, length, replay)) return undefined;
  const offset = place.offset + at - reader.start;
  if (hasUnknownKind(words, type, payload, length)) throw new UnsupportedFormatError(place.file, offset, UNKNOWN);
  if (isKnownType(type)) throw new DamageError(place.file, offset, MALFORMED);
  if ((header & ENTRY_MUST_UNDERSTAND) !== 0) {
    throw new UnsupportedFormatError(place.file, offset, `entries of type ${type} are not known here`);
  }
  return undefined;
}

/** Feeds a stretch of blocks, in whichever way is asked for. @returns false when it is malformed. */
function replayBlocks({ words, view }: Window, at: number, length: number, replay: Replay): boolean {
  const from = at >> 2;
  const to = from + (length >> 2);
  const blocks = { words, view, from, to, at: new Int32Array(length >> 4) };
  const count = length % Block.unitBytes === 0 ? findBlocks(words, from, to, blocks.at) : MALFORMED_BLOCKS;
  if (count < 0) return false;
  if (!replay.blocks({ ...blocks, count })) replay.values(toValues({ ...blocks, count }));
  return true;
}

function replayTable({ bytes, words }: Window, at: number, length: number, replay: Replay): boolean {
  const indexDepth = words[(at >> 2) + 2];
  if (length !== TABLE_BYTES || indexDepth < 0 || indexDepth > INDEX_DEPTH_MAX) return false;
  replay.table({ records: readMs(words, at), indexDepth, hashKey: bytes.slice(at + 16, at + TABLE_BYTES) });
  return true;
}

function replayIndexSegment({ words }: Window, at: number, length: number, replay: Replay): boolean {
  if (length < INDEX_SEGMENT_FIXED_BYTES || length % 4 !== 0) return false;
  const [depth, used] = words.subarray(at >> 2);
  const from = (at + INDEX_SEGMENT_FIXED_BYTES) >> 2;
  replay.indexSegment({ words, from, to: (at + length) >> 2, depth, used });
  return true;
}

/** @returns false when the entry was not fed: unknown or malformed. */
function replayEntry(reader: FrameReader, type: number, at: number, length: number, replay: Replay): boolean {
  const { bytes, words, view } = reader.window;
  switch (type) {
    case Entry.deadline: {
      const kindAndLength = words[(at >> 2) + 2];
      if (!hasKey(length - DEADLINE_FIXED_BYTES, kindAndLength)) return false;
      const start = at + DEADLINE_FIXED_BYTES;
      replay.deadline(readMs(words, at), kind(kindAndLength), nameLength(kindAndLength), view, start);
      return true;
    }
    case Entry.delete: {
      const kindAndLength = words[at >> 2];
      if (!hasKey(length - DELETE_FIXED_BYTES, kindAndLength)) return false;
      replay.delete(kind(kindAndLength), nameLength(kindAndLength), view, at + DELETE_FIXED_BYTES);
      return true;
    }
    case Entry.idempotency: {
      const record = readIdempotency(bytes, words, at, length);
      if (record === undefined) return false;
      replay.idempotency(record);
      return true;
    }
    case Entry.importId:
      if (length !== IMPORT_ID_BYTES) return false;
      replay.importId({
        digest: hex(bytes, at, 16),
        content: hex(bytes, at + 16, 8),
        appliedAtMs: readMs(words, at + 24),
      });
      return true;
    case Entry.forgotten:
      if (length !== FORGOTTEN_BYTES) return false;
      replay.forgotten(readMs(words, at), readMs(words, at + 8));
      return true;
    case Entry.horizon:
      if (length !== HORIZON_BYTES) return false;
      replay.horizon(readMs(words, at));
      return true;
    case Entry.table:
      return replayTable(reader.window, at, length, replay);
    case Entry.indexSegment:
      return replayIndexSegment(reader.window, at, length, replay);
    case Entry.blocks:
      return replayBlocks(reader.window, at, length, replay);
    default:
      return false;
  }
}

function isKnownType(type: number): boolean {
  return type >= Entry.value && type <= Entry.forgotten;
}

/** Whether a newer version may have written the entry: of a known type, but about a kind that is not known here. */
function hasUnknownKind(words: Int32Array, type: number, at: number, length: number): boolean {
  if (type === Entry.blocks) return haveUnknownKind(words, at >> 2, (at + length) >> 2);
  const fixedBytes = FIXED_BYTES_BEFORE_KEY[type];
  return fixedBytes !== undefined && kind(words[((at + fixedBytes) >> 2) - 1]) >= KIND_COUNT;
}

function kind(kindAndLength: number): number {
  return kindAndLength & 0xff;
}

function nameLength(kindAndLength: number): number {
  return (kindAndLength >>> 8) & 0xff;
}

/** Whether an entry's variable part is as long as its kind and the length of its name say. */
function hasKey(keyBytes: number, kindAndLength: number): boolean {
  const ofKind = kind(kindAndLength);
  const length = nameLength(kindAndLength);
  return kindAndLength >>> 16 === 0 && ofKind < KIND_COUNT && length > 0 && keyBytes === length + SUFFIX_BYTES[ofKind];
}

function readIdempotency(
  bytes: Uint8Array,
  words: Int32Array,
  at: number,
  length: number,
): IdempotencyRecord | undefined {
  const lengths = words[(at >> 2) + 2];
  const scope = lengths & 0xff;
  const keyEnd = at + IDEMPOTENCY_FIXED_BYTES + ((lengths >>> 8) & 0xff);
  const fingerprintEnd = keyEnd + ((lengths >>> 16) & 0xff);
  if (length < IDEMPOTENCY_FIXED_BYTES || scope > 1 || fingerprintEnd > at + length) return undefined;
  return {
    scope: scope === 1 ? 'import' : 'request',
    key: Buffer.from(bytes.buffer, at + IDEMPOTENCY_FIXED_BYTES, keyEnd - at - IDEMPOTENCY_FIXED_BYTES).toString(
      'latin1',
    ),
    fingerprint: hex(bytes, keyEnd, fingerprintEnd - keyEnd),
    appliedAtMs: readMs(words, at),
    outcomes: bytes.slice(fingerprintEnd, at + length),
  };
}

function hex(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, at, length).toString('hex');
}

/** Two words, low first; below 2^53. */
function readMs(words: Int32Array, at: number): number {
  return (words[(at >> 2) + 1] >>> 0) * TWO_TO_32 + (words[at >> 2] >>> 0);
}

function readSequence(words: Int32Array, at: number): bigint {
  return (BigInt(words[(at >> 2) + 1] >>> 0) << 32n) | BigInt(words[at >> 2] >>> 0);
}
