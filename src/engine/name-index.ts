/**
 * From a key's hash to its record: extendible hashing (Fagin et al. 1979). A directory, addressed by the top
 * bits of the hash, points to segments of 4096 slots with open addressing (linear probing by the low bits). A
 * full segment is split in two, which touches its 32 KiB and nothing else: the index grows piecewise, without a
 * stall at any size. A slot keeps the whole 32-bit hash, so that splitting and probing read no record.
 *
 * Invariants:
 * - A slot is (hash, ref); ref 0 means empty. A record has exactly one slot.
 * - All directory entries with the same top `depth` bits of a segment point to it.
 * - No probe sequence has a gap: removal shifts later slots back instead of leaving marks.
 */
import { assert } from '../std/assert.ts';

const SLOTS_LOG2 = 12;
const SLOTS = 1 << SLOTS_LOG2;
const SLOT_MASK = SLOTS - 1;
/** 80 %: beyond it probes grow long faster than memory is saved. */
const SLOTS_USED_MAX = Math.floor(SLOTS * 0.8);
/** Segments per allocation: 2 MiB. */
const PIECE_SEGMENTS_LOG2 = 6;
const PIECE_SEGMENTS = 1 << PIECE_SEGMENTS_LOG2;
/** The top bits (directory) and the low bits (slot) of a hash never overlap. */
const DEPTH_MAX = 32 - SLOTS_LOG2;

export class NameIndex {
  #directory: Int32Array = new Int32Array(1);
  /** Bits of the hash that address the directory. */
  #depth = 0;
  readonly #pieces: Int32Array[] = [];
  /** Per segment: how many top bits all its hashes share, and how many slots are used. */
  readonly #segmentDepth: number[] = [];
  readonly #segmentUsed: number[] = [];
  #count = 0;
  /** As in the table. */
  touched = 0;

  constructor() {
    this.#addSegment(0);
  }

  /** Records in the index. */
  get count(): number {
    return this.#count;
  }

  get byteLength(): number {
    return this.#directory.byteLength + this.#segmentDepth.length * (SLOTS * 8 + 16);
  }

  /**
   * The first slot on this hash's probe sequence with this hash, as an opaque position; -1 for none. The caller
   * compares the record's key and goes on with `next`.
   */
  first(hash: number): number {
    const segment = this.#directory[this.#depth === 0 ? 0 : hash >>> (32 - this.#depth)];
    return this.#probe(segment, hash & SLOT_MASK, hash);
  }

  /** For each hash the record of the first slot with it, or 0 for none. First touches all slots, then probes. */
  firstRefs(hashes: Int32Array, from: number, to: number, refs: Int32Array): void {
    const shift = 32 - this.#depth;
    const mask = this.#depth === 0 ? 0 : -1;
    let touched = 0;
    for (let i = from; i < to; i++) {
      const hash = hashes[i];
      const segment = this.#directory[(hash >>> shift) & mask];
      touched ^=
        this.#pieces[segment >>> PIECE_SEGMENTS_LOG2][
          ((segment & (PIECE_SEGMENTS - 1)) * SLOTS + (hash & SLOT_MASK)) * 2
        ];
    }
    this.touched = touched;
    for (let i = from; i < to; i++) refs[i] = this.#firstRef(hashes[i], shift, mask);
  }

  #firstRef(hash: number, shift: number, mask: number): number {
    const segment = this.#directory[(hash >>> shift) & mask];
    const slots = this.#pieces[segment >>> PIECE_SEGMENTS_LOG2];
    const base = (segment & (PIECE_SEGMENTS - 1)) * SLOTS * 2;
    let slot = hash & SLOT_MASK;
    while (true) {
      const at = base + slot * 2;
      const ref = slots[at + 1];
      if (ref === 0 || slots[at] === hash) return ref;
      slot = (slot + 1) & SLOT_MASK;
    }
  }

  /** The next slot behind `position` with this hash, or -1. */
  next(position: number, hash: number): number {
    const segment = position >>> SLOTS_LOG2;
    return this.#probe(segment, (position + 1) & SLOT_MASK, hash);
  }

  /** The record of a slot found by `first` or `next`. */
  ref(position: number): number {
    const segment = position >>> SLOTS_LOG2;
    const base = (segment & (PIECE_SEGMENTS - 1)) * SLOTS * 2;
    return this.#pieces[segment >>> PIECE_SEGMENTS_LOG2][base + (position & SLOT_MASK) * 2 + 1];
  }

  /** Adds a record that is not in the index. */
  insert(hash: number, ref: number): void {
    let segment = this.#directory[this.#depth === 0 ? 0 : hash >>> (32 - this.#depth)];
    while (this.#segmentUsed[segment] >= SLOTS_USED_MAX) {
      if (!this.#split(segment)) break;
      segment = this.#directory[hash >>> (32 - this.#depth)];
    }
    assert(this.#segmentUsed[segment] < SLOTS - 1, 'a segment keeps an empty slot, where probes end');
    this.#put(segment, hash, ref);
    this.#count++;
  }

  /** Removes a record by its hash. */
  remove(hash: number, ref: number): void {
    let position = this.first(hash);
    while (position >= 0 && this.ref(position) !== ref) position = this.next(position, hash);
    assert(position >= 0, 'a removed record was in the index');
    const segment = position >>> SLOTS_LOG2;
    const slots = this.#pieces[segment >>> PIECE_SEGMENTS_LOG2];
    const base = (segment & (PIECE_SEGMENTS - 1)) * SLOTS * 2;
    let hole = position & SLOT_MASK;
    for (let slot = (hole + 1) & SLOT_MASK; slots[base + slot * 2 + 1] !== 0; slot = (slot + 1) & SLOT_MASK) {
      const home = slots[base + slot * 2] & SLOT_MASK;
      // It may move back unless its home lies (cyclically) behind the hole.
      if (((slot - home) & SLOT_MASK) < ((slot - hole) & SLOT_MASK)) continue;
      slots[base + hole * 2] = slots[base + slot * 2];
      slots[base + hole * 2 + 1] = slots[base + slot * 2 + 1];
      hole = slot;
    }
    slots[base + hole * 2 + 1] = 0;
    this.#segmentUsed[segment]--;
    this.#count--;
  }

  #probe(segment: number, from: number, hash: number): number {
    const slots = this.#pieces[segment >>> PIECE_SEGMENTS_LOG2];
    const base = (segment & (PIECE_SEGMENTS - 1)) * SLOTS * 2;
    let slot = from;
    while (true) {
      const at = base + slot * 2;
      if (slots[at + 1] === 0) return -1;
      if (slots[at] === hash) return segment * SLOTS + slot;
      slot = (slot + 1) & SLOT_MASK;
    }
  }

  #put(segment: number, hash: number, ref: number): void {
    const slots = this.#pieces[segment >>> PIECE_SEGMENTS_LOG2];
    const base = (segment & (PIECE_SEGMENTS - 1)) * SLOTS * 2;
    let slot = hash & SLOT_MASK;
    while (slots[base + slot * 2 + 1] !== 0) slot = (slot + 1) & SLOT_MASK;
    slots[base + slot * 2] = hash;
    slots[base + slot * 2 + 1] = ref;
    this.#segmentUsed[segment]++;
  }

  /** Splits a segment in two by its next bit; false when the hash has no bits left for it. */
  #split(segment: number): boolean {
    const depth = this.#segmentDepth[segment];
    if (depth === DEPTH_MAX) return false;
    if (depth === this.#depth) this.#doubleDirectory();
    const sibling = this.#addSegment(depth + 1);
    this.#segmentDepth[segment] = depth + 1;
    const old = this.#pieces[segment >>> PIECE_SEGMENTS_LOG2];
    const base = (segment & (PIECE_SEGMENTS - 1)) * SLOTS * 2;
    const slots = old.slice(base, base + SLOTS * 2);
    old.fill(0, base, base + SLOTS * 2);
    this.#segmentUsed[segment] = 0;
    let prefix = 0;
    for (let at = 0; at < slots.length; at += 2) {
      if (slots[at + 1] === 0) continue;
      prefix = slots[at];
      this.#put((prefix >>> (31 - depth)) & 1 ? sibling : segment, prefix, slots[at + 1]);
    }
    // The directory entries of the segment's prefix: the upper half of them belongs to the sibling now.
    const span = 1 << (this.#depth - depth);
    const first = depth === 0 ? 0 : (prefix >>> (32 - depth)) * span;
    this.#directory.fill(sibling, first + span / 2, first + span);
    return true;
  }

  #doubleDirectory(): void {
    const old = this.#directory;
    const doubled = new Int32Array(old.length * 2);
    for (let i = 0; i < old.length; i++) {
      doubled[2 * i] = old[i];
      doubled[2 * i + 1] = old[i];
    }
    this.#directory = doubled;
    this.#depth++;
  }

  #addSegment(depth: number): number {
    const segment = this.#segmentDepth.length;
    if (segment >>> PIECE_SEGMENTS_LOG2 === this.#pieces.length) {
      this.#pieces.push(new Int32Array(PIECE_SEGMENTS * SLOTS * 2));
    }
    this.#segmentDepth.push(depth);
    this.#segmentUsed.push(0);
    return segment;
  }
}
