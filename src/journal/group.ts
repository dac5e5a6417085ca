/**
 * A group while it is encoded: one frame, from the header to the padding. Reused; grows by pieces of 1 MiB, so
 * that nothing is copied when it grows, and an entry never straddles two of them. (The file does not know of
 * pieces: their used parts are written one behind the other.)
 *
 * Invariants:
 * - Entries start at multiples of 4 in the frame, so their words are written through an `Int32Array`.
 * - `putValue` and `changeValue` are on the path of an increment: they allocate nothing.
 * - A frame is at most `GROUP_BYTES_MAX` long; whoever fills it looks at `bytes` and splits before that.
 */
import { crc32 } from 'node:zlib';
import { highLane } from '../counter/int64.ts';
import { SUFFIX_BYTES } from '../counter/key.ts';
import {
  GROUP_BYTES_MAX,
  GROUP_ENTRY_BYTES_MAX,
  IDEMPOTENCY_KEY_BYTES_MAX,
  NAME_BYTES_MAX,
} from '../counter/limits.ts';
import { assert } from '../std/assert.ts';
import {
  DEADLINE_FIXED_BYTES,
  DELETE_FIXED_BYTES,
  ENTRY_LENGTH_MASK,
  ENTRY_MUST_UNDERSTAND,
  ENTRY_TYPE_MASK,
  ENTRY_TYPE_SHIFT,
  Entry,
  FORGOTTEN_BYTES,
  FRAME_MAGIC,
  Frame,
  ID_BYTES,
  IDEMPOTENCY_FIXED_BYTES,
  IMPORT_ID_BYTES,
  INDEX_SEGMENT_FIXED_BYTES,
  SECTOR_BYTES,
  SNAPSHOT_END_BYTES,
  TABLE_BYTES,
  VALUE_FIXED_BYTES,
  wholeSectors,
} from './format.ts';
import type { IdempotencyRecord, ImportId } from './replay.ts';

const PIECE_WORDS_LOG2 = 18;
const PIECE_WORDS = 1 << PIECE_WORDS_LOG2;
const PIECE_BYTES = PIECE_WORDS * 4;
/** The last piece is padded to a whole sector. */
const PIECE_USABLE_BYTES = PIECE_BYTES - SECTOR_BYTES;
/** What a group keeps for the next one; a rare large one gives the rest back. */
const PIECES_KEPT_MAX = 8;
const TWO_TO_32 = 4294967296;

assert(GROUP_ENTRY_BYTES_MAX <= PIECE_USABLE_BYTES - Frame.payload, 'every entry fits in a piece');
assert(GROUP_ENTRY_BYTES_MAX <= ENTRY_LENGTH_MASK, 'every entry has a length that its header can tell');
assert(GROUP_BYTES_MAX < TWO_TO_32, 'a frame has a length that its header can tell');

interface Piece {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  used: number;
}

export class GroupBuffer {
  #sequence = 0n;
  #timeMs = 0;
  #entries = 0;
  readonly #pieces: Piece[] = [newPiece()];
  /** The piece that is being filled, and its parts: the path of an increment looks no further. */
  #piece = this.#pieces[0];
  #last = 0;
  #bytesBefore = 0;
  #words = this.#piece.words;
  #used: number = Frame.payload;

  /** Starts an empty group. It gets its number by `stamp`, before it is sealed. */
  begin(): void {
    this.#sequence = 0n;
    this.#entries = 0;
    if (this.#pieces.length > PIECES_KEPT_MAX) this.#pieces.length = PIECES_KEPT_MAX;
    this.#bytesBefore = 0;
    this.#enter(0);
    this.#used = Frame.payload;
  }

  stamp(sequence: bigint, timeMs: number): void {
    assert(sequence > 0n, 'sequence numbers start at 1');
    this.#sequence = sequence;
    this.#timeMs = timeMs;
  }

  get sequence(): bigint {
    return this.#sequence;
  }

  /** Wall-clock time, Unix ms. */
  get timeMs(): number {
    return this.#timeMs;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Length of the frame so far, without padding. */
  get bytes(): number {
    return this.#bytesBefore + this.#used;
  }

  /**
   * A record's absolute state; also says that it has no deadline, unless `putDeadline` follows.
   * The key's bytes, name and suffix, begin with the word `key[start]`, little-endian.
   * @returns where it is, for `changeValue`.
   */
  putValue(
    low: number,
    high: number,
    updatedAtSeconds: number,
    kind: number,
    nameLength: number,
    key: Int32Array,
    start: number,
  ): number {
    const keyBytes = this.#keyBytes(kind, nameLength);
    const at = this.#open(Entry.value, VALUE_FIXED_BYTES + keyBytes);
    const words = this.#words;
    const word = at >> 2;
    words[word] = low;
    words[word + 1] = high;
    words[word + 2] = updatedAtSeconds;
    words[word + 3] = kind | (nameLength << 8);
    this.#copy(key, start, keyBytes, at + VALUE_FIXED_BYTES);
    return this.#last * PIECE_WORDS + word;
  }

  /** The record has changed again: its entry, at `place`, tells the new state. */
  changeValue(place: number, low: number, high: number, updatedAtSeconds: number): void {
    const { words } = this.#pieces[place >>> PIECE_WORDS_LOG2];
    const word = place & (PIECE_WORDS - 1);
    words[word] = low;
    words[word + 1] = high;
    words[word + 2] = updatedAtSeconds;
  }

  /** The deadline of a record, Unix ms, exact to 2^53; follows its value. */
  putDeadline(deadlineMs: number, kind: number, nameLength: number, key: Int32Array, start: number): void {
    const keyBytes = this.#keyBytes(kind, nameLength);
    const at = this.#open(Entry.deadline, DEADLINE_FIXED_BYTES + keyBytes);
    this.#putMs(at, deadlineMs);
    this.#words[(at >> 2) + 2] = kind | (nameLength << 8);
    this.#copy(key, start, keyBytes, at + DEADLINE_FIXED_BYTES);
  }

  putDelete(kind: number, nameLength: number, key: Int32Array, start: number): void {
    const keyBytes = this.#keyBytes(kind, nameLength);
    const at = this.#open(Entry.delete, DELETE_FIXED_BYTES + keyBytes);
    this.#words[at >> 2] = kind | (nameLength << 8);
    this.#copy(key, start, keyBytes, at + DELETE_FIXED_BYTES);
  }

  putIdempotency(record: IdempotencyRecord): void {
    const { key, fingerprint, outcomes } = record;
    assert(key.length > 0 && key.length <= IDEMPOTENCY_KEY_BYTES_MAX, 'an idempotency key has 1 to 255 characters');
    assert(/^([0-9a-f]{2}){0,32}$/.test(fingerprint), 'a fingerprint is lower-case hex of at most 32 bytes');
    const fingerprintBytes = fingerprint.length / 2;
    const length = IDEMPOTENCY_FIXED_BYTES + key.length + fingerprintBytes + outcomes.length;
    const at = this.#open(Entry.idempotency, length);
    const { bytes } = this.#piece;
    this.#putMs(at, record.appliedAtMs);
    this.#words[(at >> 2) + 2] = (record.scope === 'import' ? 1 : 0) | (key.length << 8) | (fingerprintBytes << 16);
    let to = at + IDEMPOTENCY_FIXED_BYTES;
    for (let i = 0; i < key.length; i++) {
      const character = key.charCodeAt(i);
      assert(character >= 0x20 && character < 0x7f, 'an idempotency key is printable ASCII');
      bytes[to++] = character;
    }
    for (let i = 0; i < fingerprint.length; i += 2) bytes[to++] = Number.parseInt(fingerprint.slice(i, i + 2), 16);
    bytes.set(outcomes, to);
  }

  putImportId({ digest, content, appliedAtMs }: ImportId): void {
    assert(
      /^[0-9a-f]{32}$/.test(digest) && /^[0-9a-f]{16}$/.test(content),
      'digests are lower-case hex of 16 and 8 bytes',
    );
    const at = this.#open(Entry.importId, IMPORT_ID_BYTES);
    this.#piece.bytes.set(Buffer.from(digest + content, 'hex'), at);
    this.#putMs(at + 24, appliedAtMs);
  }

  /** Idempotency keys born from one time through another, Unix ms, are no longer known. */
  putForgotten(fromMs: number, throughMs: number): void {
    const at = this.#open(Entry.forgotten, FORGOTTEN_BYTES);
    this.#putMs(at, fromMs);
    this.#putMs(at + 8, throughMs);
  }

  /** The head of a table that is copied: its blocks follow, and before them, if `indexDepth` is not 0, its index. */
  putTable(records: number, indexDepth: number, hashKey: Uint8Array): void {
    const at = this.#open(Entry.table, TABLE_BYTES);
    this.#putMs(at, records);
    this.#words[(at >> 2) + 2] = indexDepth;
    this.#words[(at >> 2) + 3] = 0;
    this.#piece.bytes.set(hashKey, at + 16);
  }

  /** A segment of the table's index, in the order of the hashes: the words `[from, to)` of its memory. */
  putIndexSegment(depth: number, used: number, words: Int32Array, from: number, to: number): void {
    const at = this.#open(Entry.indexSegment, INDEX_SEGMENT_FIXED_BYTES + (to - from) * 4);
    this.#words[at >> 2] = depth;
    this.#words[(at >> 2) + 1] = used;
    this.#words.set(words.subarray(from, to), (at + INDEX_SEGMENT_FIXED_BYTES) >> 2);
  }

  /** The words `[from, to)` of a table's memory: whole blocks, back to back. */
  putBlocks(words: Int32Array, from: number, to: number): void {
    const at = this.#open(Entry.blocks, (to - from) * 4);
    this.#words.set(words.subarray(from, to), at >> 2);
  }

  /** Ends a snapshot: the newest group that may show in it, and how many entries it has before this one. */
  putSnapshotEnd(sequence: bigint, entries: number): void {
    const at = this.#open(Entry.snapshotEnd, SNAPSHOT_END_BYTES);
    new DataView(this.#piece.bytes.buffer).setBigUint64(at, sequence, true);
    this.#putMs(at + 8, entries);
  }

  /** Calls back for each state of a record, in order: the words of its entry begin at `at` (see `ValueEntry`). */
  forEachValue(visit: (words: Int32Array, at: number) => void): void {
    for (let i = 0; i <= this.#last; i++) {
      const { words } = this.#pieces[i];
      const end = i === this.#last ? this.#used : this.#pieces[i].used;
      for (let at: number = i === 0 ? Frame.payload : 0; at < end; ) {
        const header = words[at >> 2];
        if (((header >>> ENTRY_TYPE_SHIFT) & ENTRY_TYPE_MASK) === Entry.value) visit(words, (at >> 2) + 1);
        at += 4 + (((header & ENTRY_LENGTH_MASK) + 3) & ~3);
      }
    }
  }

  /**
   * Completes the frame: header, padding, checksum.
   * @param id of the file that it goes into.
   * @param offset of the frame in that file.
   * @param durableOffset through which that file is known to be durable.
   * @returns the frame's parts in order; valid until the next `begin`.
   */
  seal(id: Uint8Array, offset: number, durableOffset: number): Uint8Array[] {
    assert(id.length === ID_BYTES, 'a file id has 16 bytes');
    assert(this.#sequence > 0n, 'a group has its number before it is sealed');
    assert(this.bytes <= GROUP_BYTES_MAX, 'a frame is at most GROUP_BYTES_MAX long');
    const { bytes } = this.#pieces[0];
    const header = new DataView(bytes.buffer, 0, Frame.payload);
    header.setUint32(Frame.magic, FRAME_MAGIC, true);
    header.setUint32(Frame.length, this.bytes, true);
    bytes.set(id, Frame.id);
    header.setBigUint64(Frame.sequence, this.#sequence, true);
    header.setBigUint64(Frame.timeMs, BigInt(this.#timeMs), true);
    header.setBigUint64(Frame.durableOffset, BigInt(durableOffset), true);
    header.setBigUint64(Frame.offset, BigInt(offset), true);
    header.setUint32(Frame.entries, this.#entries, true);
    this.#piece.used = this.#used;
    const end = this.#used + wholeSectors(this.bytes) - this.bytes;
    this.#piece.bytes.fill(0, this.#used, end);
    const parts = this.#pieces.slice(0, this.#last + 1).map((piece) => piece.bytes.subarray(0, piece.used));
    parts[this.#last] = this.#piece.bytes.subarray(0, end);
    header.setUint32(Frame.crc, frameChecksum(parts), true);
    return parts;
  }

  #keyBytes(kind: number, nameLength: number): number {
    assert(nameLength > 0 && nameLength <= NAME_BYTES_MAX && kind < SUFFIX_BYTES.length, 'a record has a valid key');
    return nameLength + SUFFIX_BYTES[kind];
  }

  /** Makes room for an entry and writes its header. @returns where its payload begins in the piece. */
  #open(type: number, length: number): number {
    assert(length <= GROUP_ENTRY_BYTES_MAX, 'an entry is at most GROUP_ENTRY_BYTES_MAX long');
    const padded = 4 + ((length + 3) & ~3);
    if (this.#used + padded > PIECE_USABLE_BYTES) this.#enterNext();
    const at = this.#used;
    this.#used = at + padded;
    this.#words[at >> 2] = length | (type << ENTRY_TYPE_SHIFT) | ENTRY_MUST_UNDERSTAND;
    // The last word may end in padding, which must not show what an earlier group left there.
    this.#words[(this.#used >> 2) - 1] = 0;
    this.#entries++;
    return at + 4;
  }

  /** Word by word: for names of usual length faster than `set`, which needs a view to copy from. */
  #copy(key: Int32Array, start: number, length: number, to: number): void {
    const words = this.#words;
    const word = to >> 2;
    const whole = length >> 2;
    for (let i = 0; i < whole; i++) words[word + i] = key[start + i];
    const rest = (length & 3) << 3;
    if (rest > 0) words[word + whole] = key[start + whole] & ((1 << rest) - 1);
  }

  /** Two words, low first. */
  #putMs(at: number, value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'a time is a whole number from 0 to 2^53 - 1');
    this.#words[at >> 2] = value | 0;
    this.#words[(at >> 2) + 1] = highLane(value);
  }

  #enterNext(): void {
    this.#piece.used = this.#used;
    this.#bytesBefore += this.#used;
    assert(this.#bytesBefore <= GROUP_BYTES_MAX, 'a frame is at most GROUP_BYTES_MAX long');
    if (this.#last + 1 === this.#pieces.length) this.#pieces.push(newPiece());
    this.#enter(this.#last + 1);
    this.#used = 0;
  }

  #enter(index: number): void {
    this.#last = index;
    this.#piece = this.#pieces[index];
    this.#words = this.#piece.words;
  }
}

function newPiece(): Piece {
  const buffer = new ArrayBuffer(PIECE_BYTES);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), used: 0 };
}

/** CRC-32 of a frame without the checksum itself; the first part holds at least the header. */
export function frameChecksum(parts: readonly Uint8Array[]): number {
  let checksum = crc32(parts[0].subarray(0, Frame.crc));
  checksum = crc32(parts[0].subarray(Frame.payload), checksum);
  for (let i = 1; i < parts.length; i++) checksum = crc32(parts[i], checksum);
  return checksum;
}
