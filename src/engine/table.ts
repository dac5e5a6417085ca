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
  readonly #index = new NameIndex();
  readonly #hash: NameHash;

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
   * Whether the record has this key. A look-up of many names asks `candidate` for all of them and then this, so
   * that the cache misses of one step overlap; only where it says no is `find` called.
   */
  matches(ref: number, kind: number, nameLength: number, key: Uint8Array, start: number): boolean {
    const piece = Slab.piece(ref);
    const meta = this.slab.lanes[piece][Slab.lane(ref) + 3];
    if (
      (meta & (Meta.nameLengthMask | (Meta.kindMask << Meta.kindShift))) !==
      (nameLength | (kind << Meta.kindShift))
    ) {
      return false;
    }
    return equalBytes(this.slab.bytes[piece], Slab.keyByte(ref), key, start, nameLength + SUFFIX_BYTES[kind]);
  }

  /** The record of the first slot with this hash, or 0. */
  candidate(hash: number): number {
    return this.#index.firstRef(hash);
  }

  /** Adds a record with value 0 for a key that has none; 0 when the address space is used up. */
  insert(hash: number, kind: number, nameLength: number, key: Uint8Array, start: number): number {
    const ref = this.slab.insert(kind, nameLength, key, start);
    if (ref !== 0) this.#index.insert(hash, ref);
    return ref;
  }

  remove(ref: number): void {
    const piece = Slab.piece(ref);
    const meta = this.slab.lanes[piece][Slab.lane(ref) + 3];
    const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
    const hash = this.hash(kind, meta & Meta.nameLengthMask, this.slab.bytes[piece], Slab.keyByte(ref));
    this.#index.remove(hash, ref);
    this.slab.remove(ref);
  }
}

function equalBytes(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (a[aStart + i] !== b[bStart + i]) return false;
  }
  return true;
}
