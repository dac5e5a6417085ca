/**
 * The table: every record of one replica, found by key or walked in record order. It knows the layout of the bytes, not
 * their meaning: existence, deadlines and durability belong to the engine.
 */
import { SUFFIX_BYTES } from '../counter/key.ts';
import { assert } from '../std/assert.ts';
import { NameHash } from './hash.ts';
import { NameIndex } from './name-index.ts';
import { FIRST_UNIT, KEY_LANE, Meta, Slab } from './slab.ts';

export class Table {
  readonly slab = new Slab();
  index = this.#newIndex();
  #hash: NameHash;
  /** The key of the index's hashes. */
  hashKey: Uint8Array;
  /** Incremented whenever a record is added or removed. */
  changes = 0;
  /** The result of touching, kept in a public field so that touching is not optimised away. */
  touched = 0;

  /** @param hashKey 8 secret random bytes. */
  constructor(hashKey: Uint8Array) {
    this.hashKey = hashKey;
    this.#hash = new NameHash(hashKey);
  }

  /** The number of records, including deleted ones that still wait for the journal. */
  get count(): number {
    return this.index.count;
  }

  get byteLength(): number {
    return this.slab.byteLength + this.index.byteLength;
  }

  hash(kind: number, nameLength: number, key: DataView, start: number): number {
    return this.#hash.of(kind, key, start, nameLength + SUFFIX_BYTES[kind]);
  }

  /** The record with this key, or 0. Keys are compared exactly. */
  find(hash: number, kind: number, nameLength: number, key: DataView, start: number): number {
    for (let at = this.index.first(hash); at >= 0; at = this.index.next(at, hash)) {
      const ref = this.index.ref(at);
      if (this.matches(ref, kind, nameLength, key, start)) return ref;
    }
    return 0;
  }

  /** Whether the record has this key. */
  matches(ref: number, kind: number, nameLength: number, key: DataView, start: number): boolean {
    const piece = Slab.piece(ref);
    const lanes = this.slab.lanes[piece];
    const at = Slab.lane(ref);
    const wanted = nameLength | (kind << Meta.kindShift);
    if ((lanes[at + 3] & (Meta.nameLengthMask | (Meta.kindMask << Meta.kindShift))) !== wanted) return false;
    const length = nameLength + SUFFIX_BYTES[kind];
    const wholeWords = length >>> 2;
    for (let i = 0; i < wholeWords; i++) {
      if (lanes[at + KEY_LANE + i] !== key.getInt32(start + 4 * i, true)) return false;
    }
    const bytes = this.slab.bytes[piece];
    const keyAt = Slab.keyByte(ref);
    for (let i = wholeWords * 4; i < length; i++) {
      if (bytes[keyAt + i] !== key.getUint8(start + i)) return false;
    }
    return true;
  }

  /**
   * The records of many keys at once: for each hash the first record with it, or 0; usually the right one. Each step
   * first touches everything that the next step will read. Only a few instructions lie between two touches, so the
   * processor has many cache misses in flight instead of one.
   */
  candidates(hashes: Int32Array, from: number, to: number, refs: Int32Array): void {
    this.index.firstRefs(hashes, from, to, refs);
    const { lanes } = this.slab;
    let touched = 0;
    for (let i = from; i < to; i++) touched ^= lanes[Slab.piece(refs[i])][Slab.lane(refs[i]) + 3];
    this.touched = touched;
  }

  /** Adds a record with value 0 for a key that has none; 0 if the address space is used up. */
  insert(hash: number, kind: number, nameLength: number, key: DataView, start: number): number {
    const ref = this.slab.insert(kind, nameLength, key, start);
    this.changes++;
    if (ref !== 0) this.index.insert(hash, ref);
    return ref;
  }

  /** For an empty table whose index is about to be restored. */
  adoptHashKey(hashKey: Uint8Array): void {
    assert(this.count === 0, 'no record was hashed with another key');
    this.hashKey = hashKey;
    this.#hash = new NameHash(hashKey);
  }

  /** Makes room in an empty table's index for about this many records. */
  reserve(count: number): void {
    this.index.reserve(count);
  }

  /** Prefetches what `adopt` of a record with this hash reads. */
  touch(hash: number): void {
    this.index.touch(hash);
  }

  /**
   * Adds a record to the index that so far was only in the slab.
   * @returns the record with the same key that was in the index before and must now be removed, or 0
   */
  adopt(hash: number, ref: number): number {
    if (this.index.insertAlone(hash, ref)) return 0;
    let older = 0;
    for (let at = this.index.first(hash); at >= 0 && older === 0; at = this.index.next(at, hash)) {
      const other = this.index.ref(at);
      const meta = this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3];
      const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
      const view = this.slab.views[Slab.piece(ref)];
      if (this.matches(other, kind, meta & Meta.nameLengthMask, view, Slab.keyByte(ref))) older = other;
    }
    this.index.insert(hash, ref);
    return older;
  }

  /** Builds the index of all records in the slab. */
  indexAnew(): void {
    this.index = this.#newIndex();
    for (let at = FIRST_UNIT; at < this.slab.frontier; at = this.slab.behind(at)) {
      if (!this.slab.isRecord(at)) continue;
      this.index.insert(this.#hashOf(at, this.slab.lanes[Slab.piece(at)][Slab.lane(at) + 3]), at);
    }
  }

  #newIndex(): NameIndex {
    return new NameIndex((refs, count, hashes) => this.#hashAll(refs, count, hashes));
  }

  remove(ref: number): void {
    this.changes++;
    this.index.remove(this.#hashOf(ref, this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3]), ref);
    this.slab.remove(ref);
  }

  /** Touches all records first, so that their cache misses overlap. */
  #hashAll(refs: Int32Array, count: number, hashes: Int32Array): void {
    const metas = hashes;
    for (let i = 0; i < count; i++) metas[i] = this.slab.lanes[Slab.piece(refs[i])][Slab.lane(refs[i]) + 3];
    for (let i = 0; i < count; i++) hashes[i] = this.#hashOf(refs[i], metas[i]);
  }

  #hashOf(ref: number, meta: number): number {
    const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
    return this.hash(kind, meta & Meta.nameLengthMask, this.slab.views[Slab.piece(ref)], Slab.keyByte(ref));
  }
}
