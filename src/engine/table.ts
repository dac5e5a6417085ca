/**
 * The table: every record of one replica, found by key or walked in record order. It knows where bytes lie, not
 * what they mean: existence, deadlines and durability are the engine's.
 */
import { SUFFIX_BYTES } from '../counter/key.ts';
import { NameHash } from './hash.ts';
import { NameIndex } from './name-index.ts';
import { Meta, Slab } from './slab.ts';

export class Table {
  readonly slab = new Slab();
  readonly #index = new NameIndex((refs, count, hashes) => this.#hashAll(refs, count, hashes));
  readonly #hash: NameHash;
  /** A word of the record that was fetched last: if nobody could see it, the compiler would leave the fetching out. */
  fetched = 0;

  /** @param hashKey 8 secret random bytes. */
  constructor(hashKey: Uint8Array) {
    this.#hash = new NameHash(hashKey);
  }

  /** Records, deleted ones that still wait for the journal included. */
  get count(): number {
    return this.#index.count;
  }

  get byteLength(): number {
    return this.slab.byteLength + this.#index.byteLength;
  }

  hash(kind: number, nameLength: number, key: Uint8Array, start: number): number {
    return this.#hash.of(kind, key, start, nameLength + SUFFIX_BYTES[kind]);
  }

  /** The record with this key, or 0. Keys are compared exactly. */
  find(hash: number, kind: number, nameLength: number, key: Uint8Array, start: number): number {
    for (let at = this.#index.first(hash); at >= 0; at = this.#index.next(at, hash)) {
      const ref = this.#index.ref(at);
      if (this.matches(ref, kind, nameLength, key, start)) return ref;
    }
    return 0;
  }

  /**
   * Whether the record has this key. A look-up of many names asks `candidates` for all of them and then this, so
   * that the cache misses of one step overlap; only where it says no is `find` called.
   */
  matches(ref: number, kind: number, nameLength: number, key: Uint8Array, start: number): boolean {
    const lanes = this.slab.lanes[Slab.piece(ref)];
    let at = Slab.lane(ref) + 3;
    if (
      (lanes[at] & (Meta.nameLengthMask | (Meta.kindMask << Meta.kindShift))) !==
      (nameLength | (kind << Meta.kindShift))
    ) {
      return false;
    }
    // By words: the fewer steps wait for the record, the more records of a chunk the machine fetches at the same time.
    const length = nameLength + SUFFIX_BYTES[kind];
    const wordsEnd = start + (length & ~3);
    let i = start;
    for (; i < wordsEnd; i += 4) {
      if (lanes[++at] !== (key[i] | (key[i + 1] << 8) | (key[i + 2] << 16) | (key[i + 3] << 24))) return false;
    }
    const byte = Slab.keyByte(ref) - start;
    const bytes = this.slab.bytes[Slab.piece(ref)];
    for (const end = start + length; i < end; i++) if (bytes[byte + i] !== key[i]) return false;
    return true;
  }

  /** The first record that may have this hash, or 0. */
  candidate(hash: number): number {
    return this.#index.firstRef(hash);
  }

  /** `candidate` for many hashes; also fetches the records, so that `matches` finds them in the cache. */
  candidates(hashes: Int32Array, count: number, refs: Int32Array): void {
    this.#index.firstRefs(hashes, count, refs);
    for (let i = 0; i < count; i++) {
      const ref = refs[i];
      if (ref !== 0) this.fetched = this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3];
    }
  }

  /** Adds a record with value 0 for a key that has none; 0 when the address space is used up. */
  insert(hash: number, kind: number, nameLength: number, key: Uint8Array, start: number): number {
    const ref = this.slab.insert(kind, nameLength, key, start);
    if (ref !== 0) this.#index.insert(hash, ref);
    return ref;
  }

  /** Makes room in an empty table's index for about so many records. */
  reserve(count: number): void {
    this.#index.reserve(count);
  }

  /** Brings what `adopt` of a record with this hash needs into the cache. */
  fetch(hash: number): void {
    this.#index.fetch(hash);
  }

  /**
   * Puts a record into the index that was stored in the slab alone.
   * @returns the record with the same key that was in the index before, and now has to be removed, or 0
   */
  adopt(hash: number, ref: number): number {
    let older = 0;
    for (let at = this.#index.first(hash); at >= 0 && older === 0; at = this.#index.next(at, hash)) {
      const other = this.#index.ref(at);
      const meta = this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3];
      const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
      const bytes = this.slab.bytes[Slab.piece(ref)];
      if (this.matches(other, kind, meta & Meta.nameLengthMask, bytes, Slab.keyByte(ref))) older = other;
    }
    this.#index.insert(hash, ref);
    return older;
  }

  remove(ref: number): void {
    this.#index.remove(this.#hashOf(ref, this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3]), ref);
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
    return this.hash(kind, meta & Meta.nameLengthMask, this.slab.bytes[Slab.piece(ref)], Slab.keyByte(ref));
  }
}
