/**
 * The memory of records: pieces of 32 MiB, divided into blocks of whole 16-byte units. A record is four lanes and its
 * key, in one block, so that reading a counter with a short name misses the cache once:
 *
 *     lane 0  value, low            lane 2  last update, Unix seconds
 *     lane 1  value, high           lane 3  meta: name length (8 bits), kind (3), flags (5), place in group (16)
 *     then the key's bytes (name, then the suffix that the kind asks for), padded to a unit
 *
 * Invariants:
 * - A block never moves, and its length never changes: a block always begins where one began. So a record's number
 *   (`ref`, the unit that it begins at) is stable, and a walk can resume wherever it once stopped.
 * - A block whose name length is 0 is free: lane 0 holds its units, lane 1 the next free block of that size.
 * - Blocks lie back to back from unit 4 of the first piece, a whole cache line, to the frontier; no block crosses a
 *   piece's end.
 * - `ref` 0 denotes no record.
 */
import { SUFFIX_BYTES } from '../counter/key.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';
import { Block, unitsOf } from '../journal/entries/blocks.ts';
import { assert } from '../std/assert.ts';
import { cacheAlignedWords } from '../std/cache-lines.ts';

const PIECE_UNITS_LOG2 = 21;
/** The units of a piece. */
export const PIECE_UNITS = 1 << PIECE_UNITS_LOG2;
const UNIT_MASK = PIECE_UNITS - 1;
const UNIT_BYTES = Block.unitBytes;
const UNIT_WORDS = Block.unitWords;
const PIECES_MAX = 2 ** 31 / PIECE_UNITS;
/** Blocks that a walk visits in one turn of the event loop, about a millisecond: after many deletions most are free. */
export const WALK_BLOCKS_MAX = 20_000;
/** Where a walk begins. Unit 0 denotes no record; blocks of two units from here on do not straddle cache lines. */
export const FIRST_UNIT = 4;
const BLOCK_UNITS_MAX = 1 + Math.ceil((NAME_BYTES_MAX + Math.max(...SUFFIX_BYTES)) / UNIT_BYTES);

/** The key begins with this lane of a record. */
export const KEY_LANE = 4;

/** Fields that are also in snapshots are placed as that format defines. */
export const Meta = {
  nameLengthMask: Block.nameLengthMask,
  kindShift: Block.kindShift,
  kindMask: Block.kindMask,
  /** The counter does not exist (any more); the record stays until the journal has the deletion. */
  deleted: Block.gone,
  /** The deadline is in the side table. */
  deadline: Block.deadline,
  /** A policy with bounds covers the name. */
  bounded: 1 << 13,
  /** A policy lets reads see values that are not durable yet. */
  dirtyReads: 1 << 14,
  placeShift: 16,
  withoutPlace: 0xffff,
} as const;

export class Slab {
  /** Per piece: all lanes, and the same memory as bytes. Read by the table on the hot path. */
  readonly lanes: Int32Array[] = [];
  readonly bytes: Uint8Array[] = [];
  readonly views: DataView[] = [];
  /** The unit after the last block. */
  #frontier = FIRST_UNIT;
  /** Per length in units: the first free block. */
  readonly #free = new Int32Array(BLOCK_UNITS_MAX + 1);
  #freeUnits = 0;

  constructor() {
    this.#addPiece();
  }

  /** The piece that a record lies in. */
  static piece(ref: number): number {
    return ref >>> PIECE_UNITS_LOG2;
  }

  /** The record's first lane within its piece. */
  static lane(ref: number): number {
    return (ref & UNIT_MASK) << 2;
  }

  /** The first byte of the record's key within its piece. */
  static keyByte(ref: number): number {
    return ((ref & UNIT_MASK) << 4) + UNIT_BYTES;
  }

  get frontier(): number {
    return this.#frontier;
  }

  /** How many units of those before the frontier are free. */
  get freeUnits(): number {
    return this.#freeUnits;
  }

  /** The end of a block's piece, or of its last block if that is earlier. */
  endOfPiece(position: number): number {
    return Math.min((Slab.piece(position) + 1) * PIECE_UNITS, this.#frontier);
  }

  /** Bytes of memory, free blocks included. */
  get byteLength(): number {
    return this.#frontier * UNIT_BYTES;
  }

  /** Stores a new record with value 0. @returns its ref, or 0 if the address space is used up. */
  insert(kind: number, nameLength: number, key: DataView, start: number): number {
    const keyLength = nameLength + SUFFIX_BYTES[kind];
    const ref = this.#allocate(unitsFor(keyLength));
    if (ref === 0) return 0;
    const piece = Slab.piece(ref);
    const lanes = this.lanes[piece];
    const at = Slab.lane(ref);
    lanes[at] = 0;
    lanes[at + 1] = 0;
    lanes[at + 2] = 0;
    lanes[at + 3] = nameLength | (kind << Meta.kindShift);
    const wholeWords = keyLength >>> 2;
    for (let i = 0; i < wholeWords; i++) lanes[at + KEY_LANE + i] = key.getInt32(start + 4 * i, true);
    const bytes = this.bytes[piece];
    const to = Slab.keyByte(ref);
    for (let i = wholeWords * 4; i < keyLength; i++) bytes[to + i] = key.getUint8(start + i);
    return ref;
  }

  /** `insert` with a value, of a key that is aligned to words and padded to a whole one. */
  insertValue(
    low: number,
    high: number,
    updatedAt: number,
    kind: number,
    nameLength: number,
    words: Int32Array,
    key: number,
  ): number {
    const keyWords = (nameLength + SUFFIX_BYTES[kind] + 3) >>> 2;
    const ref = this.#allocate(1 + ((keyWords + UNIT_WORDS - 1) >>> 2));
    if (ref === 0) return 0;
    const lanes = this.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    lanes[at] = low;
    lanes[at + 1] = high;
    lanes[at + 2] = updatedAt;
    lanes[at + 3] = nameLength | (kind << Meta.kindShift);
    for (let i = 0; i < keyWords; i++) lanes[at + KEY_LANE + i] = words[key + i];
    return ref;
  }

  /**
   * Appends a stretch of blocks as they are. The caller must free those that are not records.
   * @returns where the stretch begins, or 0 if the address space is used up.
   */
  append(words: Int32Array, from: number, to: number): number {
    const ref = this.#extend((to - from) >>> 2);
    if (ref !== 0) this.lanes[Slab.piece(ref)].set(words.subarray(from, to), Slab.lane(ref));
    return ref;
  }

  /** Frees a block of a stretch that was appended. */
  free(position: number, units: number): void {
    this.#release(position, units);
  }

  /** Frees a record's block. */
  remove(ref: number): void {
    const lanes = this.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    assert((lanes[at + 3] & Meta.nameLengthMask) !== 0, 'only a record is removed');
    this.#release(ref, unitsOf(lanes[at + 3]));
  }

  /** Whether the block at this position is a record, or free. */
  isRecord(position: number): boolean {
    return (this.lanes[Slab.piece(position)][Slab.lane(position) + 3] & Meta.nameLengthMask) !== 0;
  }

  /** The position after a block: of the next one, or the frontier. */
  behind(position: number): number {
    const lanes = this.lanes[Slab.piece(position)];
    const at = Slab.lane(position);
    return position + ((lanes[at + 3] & Meta.nameLengthMask) !== 0 ? unitsOf(lanes[at + 3]) : lanes[at]);
  }

  /** Whether a free block fits a record with such a key. */
  hasFree(kind: number, nameLength: number): boolean {
    return this.#free[unitsFor(nameLength + SUFFIX_BYTES[kind])] !== 0;
  }

  #allocate(units: number): number {
    const free = this.#free[units];
    if (free !== 0) {
      this.#freeUnits -= units;
      this.#free[units] = this.lanes[Slab.piece(free)][Slab.lane(free) + 1];
      return free;
    }
    return this.#extend(units);
  }

  /** Takes this many units after the frontier, in one piece. */
  #extend(units: number): number {
    const piecesEnd = this.lanes.length * PIECE_UNITS;
    if (this.#frontier + units > piecesEnd) {
      if (this.lanes.length === PIECES_MAX) return 0;
      // The rest of the piece becomes free blocks, so that blocks lie back to back.
      for (let at = this.#frontier; at < piecesEnd; at += BLOCK_UNITS_MAX) {
        this.#release(at, Math.min(BLOCK_UNITS_MAX, piecesEnd - at));
      }
      this.#addPiece();
      this.#frontier = piecesEnd;
    }
    const ref = this.#frontier;
    this.#frontier += units;
    return ref;
  }

  #addPiece(): void {
    const lanes = cacheAlignedWords(PIECE_UNITS * 4);
    this.lanes.push(lanes);
    this.bytes.push(new Uint8Array(lanes.buffer, lanes.byteOffset));
    this.views.push(new DataView(lanes.buffer, lanes.byteOffset));
  }

  #release(ref: number, units: number): void {
    const lanes = this.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    lanes[at] = units;
    lanes[at + 1] = this.#free[units];
    lanes[at + 3] = 0;
    this.#free[units] = ref;
    this.#freeUnits += units;
  }
}

/** The units of a record with a key of so many bytes. */
function unitsFor(keyLength: number): number {
  return 1 + ((keyLength + UNIT_BYTES - 1) >>> 4);
}
