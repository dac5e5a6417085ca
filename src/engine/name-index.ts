/**
 * Finds a record by its key's hash: extendible hashing (Fagin et al. 1979). A directory, addressed by the top bits of
 * the hash, points to leaves of 256 lines; the low bits choose the line. A full leaf is split in two, which touches
 * only its records: the index grows piecewise, without a stall at any size.
 *
 * A line is one cache line, so that a look-up misses the cache once, and holds no hashes but tags:
 *
 *     words 0 to 11   refs, 0 where the place is empty
 *     words 12 to 14  a tag for each ref, one byte of its hash but never 0; 0 where the place is empty
 *     word 15         how many records found no place here and went on to a line behind
 *
 * Invariants:
 * - A record has exactly one place: in the line that its hash chooses (its home) or, if that was full, in the next free
 *   line of the same leaf. Each line that it passed counts it.
 * - All directory entries with the same top `depth` bits of a leaf point to it.
 * - A look-up may find a record of another hash with the same tag: the caller compares keys.
 */
import type { IndexLeaf } from '../journal/entries/index-leaf.ts';
import { assert } from '../std/assert.ts';
import { cacheAlignedWords } from '../std/cache-lines.ts';

const LINE_WORDS_LOG2 = 4;
const LINE_WORDS = 1 << LINE_WORDS_LOG2;
const PLACES = 12;
const TAGS = 12;
const PASSED = 15;
const LINES_LOG2 = 8;
const LINES = 1 << LINES_LOG2;
const LINE_MASK = LINES - 1;
const LEAF_WORDS = LINES * LINE_WORDS;
/** 85 %: beyond it too many records are outside of their home. */
const LEAF_USED_MAX = Math.floor(LINES * PLACES * 0.85);
/** The average fill of a presized leaf; few then exceed it enough to be split. */
const LEAF_USED_PLANNED = Math.floor(LEAF_USED_MAX * 0.96);
/** Leaves per allocation: 32 MiB. */
const PIECE_LEAVES_LOG2 = 11;
const PIECE_LEAVES = 1 << PIECE_LEAVES_LOG2;
/** The top bits (directory) and the low bits (line) of a hash never overlap. */
const DEPTH_MAX = 32 - LINES_LOG2;
/** A tag in each byte of a word, and the bits of a byte below its highest. */
const EACH_BYTE = 0x01010101;
const LOW_BITS = 0x7f7f7f7f;

/** Computes the hashes of the records `refs[0, count)` for a split. */
export type HashesOf = (refs: Int32Array, count: number, hashes: Int32Array) => void;

export class NameIndex {
  readonly #hashesOf: HashesOf;
  /** At least two entries, so that its bits can be shifted out of the hash. */
  #directory: Int32Array = new Int32Array(2);
  /** Bits of the hash that address the directory; and the other ones. */
  #depth = 1;
  #shift = 31;
  readonly #pieces: Int32Array[] = [];
  /** Per leaf: how many top bits all its hashes share, and how many places are used. */
  readonly #leafDepth: number[] = [];
  readonly #leafUsed: number[] = [];
  #count = 0;
  /** Places of the directory that are restored, while it is. */
  #restored = 0;
  /** As in the table. */
  touched = 0;
  /** Of a leaf that is being split. */
  readonly #refs = new Int32Array(LINES * PLACES);
  readonly #hashes = new Int32Array(LINES * PLACES);

  constructor(hashesOf: HashesOf) {
    this.#hashesOf = hashesOf;
    this.#addLeaf(0);
  }

  /** Records in the index. */
  get count(): number {
    return this.#count;
  }

  get byteLength(): number {
    return this.#directory.byteLength + this.#leafDepth.length * (LEAF_WORDS * 4 + 16);
  }

  /** Makes room in an empty index for about this many records, which are then added without a split. */
  reserve(count: number): void {
    assert(this.#count === 0, 'only an empty index is presized');
    while (this.#depth < DEPTH_MAX && 2 ** this.#depth * LEAF_USED_PLANNED < count) this.#doubleDirectory();
    this.#leafDepth[0] = this.#depth;
    for (let i = 1; i < this.#directory.length; i++) this.#directory[i] = this.#addLeaf(this.#depth);
  }

  /** Bits of the hash that address the directory. */
  get depth(): number {
    return this.#depth;
  }

  /** The leaf at a place of the directory, for a copy: where it lies, and the place of the next one. */
  leafAt(place: number): IndexLeaf & { readonly next: number } {
    const leaf = this.#directory[place];
    const depth = this.#leafDepth[leaf];
    const from = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const next = place + 2 ** (this.#depth - depth);
    return { words, from, to: from + LEAF_WORDS, depth, used: this.#leafUsed[leaf], next };
  }

  /** Makes an empty index one of this depth whose leaves are then restored, in the order of the directory. */
  beginRestore(depth: number): void {
    assert(this.#count === 0 && depth >= 1 && depth <= DEPTH_MAX, 'only an empty index is restored');
    this.#depth = depth;
    this.#shift = 32 - depth;
    this.#directory = new Int32Array(2 ** depth);
    this.#leafDepth.length = 0;
    this.#leafUsed.length = 0;
    this.#restored = 0;
  }

  restore({ words, from, to, depth, used }: IndexLeaf): void {
    const span = 2 ** (this.#depth - depth);
    const isFitting = depth <= this.#depth && this.#restored + span <= this.#directory.length;
    assert(isFitting && to - from === LEAF_WORDS, 'a leaf of a copy fits into the directory');
    const leaf = this.#addLeaf(depth);
    this.#directory.fill(leaf, this.#restored, this.#restored + span);
    this.#restored += span;
    this.#leafUsed[leaf] = used;
    this.#count += used;
    const at = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    this.#pieces[leaf >>> PIECE_LEAVES_LOG2].set(words.subarray(from, to), at);
  }

  /** Whether all leaves have been restored. */
  get isRestored(): boolean {
    return this.#restored === this.#directory.length;
  }

  /**
   * The first place where a record with this hash may be, as an opaque position; -1 for none. The caller compares the
   * record's key and continues with `next`.
   */
  first(hash: number): number {
    return this.#probe(this.#directory[hash >>> this.#shift], hash & LINE_MASK, 0, hash);
  }

  /** Brings the hash's line into the cache. */
  touch(hash: number): void {
    const leaf = this.#directory[hash >>> this.#shift];
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    this.touched = words[(leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS + (hash & LINE_MASK) * LINE_WORDS + PASSED];
  }

  /**
   * For each hash the record at the first place, or 0 for none: usually the right one. First touches all lines, then
   * looks into them.
   */
  firstRefs(hashes: Int32Array, from: number, to: number, refs: Int32Array): void {
    for (let i = from; i < to; i++) this.touch(hashes[i]);
    for (let i = from; i < to; i++) refs[i] = this.#firstRef(hashes[i]);
  }

  #firstRef(hash: number): number {
    const leaf = this.#directory[hash >>> this.#shift];
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const base = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    const tags = Math.imul(tagOf(hash), EACH_BYTE);
    const home = hash & LINE_MASK;
    let line = home;
    do {
      const at = base + (line << LINE_WORDS_LOG2);
      const found = placesWith(words, at, tags);
      if (found !== 0) return words[at + firstPlace(found)];
      if (words[at + PASSED] === 0) return 0;
      line = (line + 1) & LINE_MASK;
    } while (line !== home);
    return 0;
  }

  /** The next place after `position` where a record with this hash may be, or -1. */
  next(position: number, hash: number): number {
    const leaf = position >>> (LINES_LOG2 + LINE_WORDS_LOG2);
    const seen = placesThrough(position & (LINE_WORDS - 1));
    return this.#probe(leaf, (position >>> LINE_WORDS_LOG2) & LINE_MASK, seen, hash);
  }

  /** The record at a position that `first` or `next` returned. */
  ref(position: number): number {
    const leaf = position >>> (LINES_LOG2 + LINE_WORDS_LOG2);
    const base = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    return this.#pieces[leaf >>> PIECE_LEAVES_LOG2][base + (position & (LEAF_WORDS - 1))];
  }

  /** Adds a record that is not in the index. */
  insert(hash: number, ref: number): void {
    let leaf = this.#directory[hash >>> this.#shift];
    while (this.#leafUsed[leaf] >= LEAF_USED_MAX) {
      if (!this.#split(leaf)) break;
      leaf = this.#directory[hash >>> this.#shift];
    }
    assert(this.#leafUsed[leaf] < LINES * PLACES, 'a leaf has an empty place');
    this.#put(leaf, hash, ref);
    this.#count++;
  }

  /**
   * Adds a record if only its home has to be examined, and no record there would match its hash's look-up. True for
   * nearly all new records in a presized index.
   * @returns whether it was added
   */
  insertAlone(hash: number, ref: number): boolean {
    const leaf = this.#directory[hash >>> this.#shift];
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const at = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS + (hash & LINE_MASK) * LINE_WORDS;
    const tag = tagOf(hash);
    if (words[at + PASSED] !== 0 || placesWith(words, at, Math.imul(tag, EACH_BYTE)) !== 0) return false;
    const empty = placesWith(words, at, 0);
    if (empty === 0 || this.#leafUsed[leaf] >= LEAF_USED_MAX) return false;
    occupy(words, at, firstPlace(empty), tag, ref);
    this.#leafUsed[leaf]++;
    this.#count++;
    return true;
  }

  /** Removes a record by its hash. */
  remove(hash: number, ref: number): void {
    const leaf = this.#directory[hash >>> this.#shift];
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const base = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    let at = base + (hash & LINE_MASK) * LINE_WORDS;
    for (let lines = 0; lines < LINES; lines++) {
      const place = words.subarray(at, at + PLACES).indexOf(ref);
      if (place >= 0) {
        words[at + place] = 0;
        words[at + TAGS + (place >>> 2)] &= ~(0xff << ((place & 3) << 3));
        this.#leafUsed[leaf]--;
        this.#count--;
        return;
      }
      words[at + PASSED]--;
      at = base + ((at - base + LINE_WORDS) & (LEAF_WORDS - 1));
    }
    assert(false, 'a removed record was in the index');
  }

  /** The first place from line `from` on, except those `seen` in it, where a record with this hash may be. */
  #probe(leaf: number, from: number, seen: number, hash: number): number {
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const base = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    const tags = Math.imul(tagOf(hash), EACH_BYTE);
    const home = hash & LINE_MASK;
    let line = from;
    let unseen = ~seen;
    do {
      const at = base + line * LINE_WORDS;
      const found = placesWith(words, at, tags) & unseen;
      if (found !== 0) return (leaf * LEAF_WORDS + line * LINE_WORDS + firstPlace(found)) >>> 0;
      if (words[at + PASSED] === 0) return -1;
      line = (line + 1) & LINE_MASK;
      unseen = -1;
    } while (line !== home);
    return -1;
  }

  #put(leaf: number, hash: number, ref: number): void {
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const base = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    let at = base + (hash & LINE_MASK) * LINE_WORDS;
    let empty = placesWith(words, at, 0);
    while (empty === 0) {
      words[at + PASSED]++;
      at = base + ((at - base + LINE_WORDS) & (LEAF_WORDS - 1));
      empty = placesWith(words, at, 0);
    }
    occupy(words, at, firstPlace(empty), tagOf(hash), ref);
    this.#leafUsed[leaf]++;
  }

  /** Splits a leaf in two by its next bit; false if the hash has no bits left. */
  #split(leaf: number): boolean {
    const depth = this.#leafDepth[leaf];
    if (depth === DEPTH_MAX) return false;
    if (depth === this.#depth) this.#doubleDirectory();
    const sibling = this.#addLeaf(depth + 1);
    this.#leafDepth[leaf] = depth + 1;
    const count = this.#takeOut(leaf);
    const hashes = this.#hashes;
    this.#hashesOf(this.#refs, count, hashes);
    for (let i = 0; i < count; i++) {
      this.#put((hashes[i] >>> (31 - depth)) & 1 ? sibling : leaf, hashes[i], this.#refs[i]);
    }
    // The directory entries of the leaf's prefix: the upper half of them belongs to the sibling now.
    const span = 1 << (this.#depth - depth);
    const first = depth === 0 ? 0 : (hashes[0] >>> (32 - depth)) * span;
    this.#directory.fill(sibling, first + span / 2, first + span);
    return true;
  }

  /** Empties a leaf into `#refs`. @returns how many. */
  #takeOut(leaf: number): number {
    const words = this.#pieces[leaf >>> PIECE_LEAVES_LOG2];
    const base = (leaf & (PIECE_LEAVES - 1)) * LEAF_WORDS;
    let count = 0;
    for (let at = base; at < base + LEAF_WORDS; at += LINE_WORDS) {
      for (let place = 0; place < PLACES; place++) {
        if (words[at + place] !== 0) this.#refs[count++] = words[at + place];
      }
    }
    words.fill(0, base, base + LEAF_WORDS);
    this.#leafUsed[leaf] = 0;
    return count;
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
    this.#shift--;
  }

  #addLeaf(depth: number): number {
    const leaf = this.#leafDepth.length;
    if (leaf >>> PIECE_LEAVES_LOG2 === this.#pieces.length) {
      this.#pieces.push(cacheAlignedWords(PIECE_LEAVES * LEAF_WORDS));
    }
    this.#leafDepth.push(depth);
    this.#leafUsed.push(0);
    return leaf;
  }
}

/** Of the hash's bits above those that choose the line. */
function tagOf(hash: number): number {
  return (hash >>> LINES_LOG2) & 0xff || 1;
}

/**
 * The places of a line whose tags are the one that `tags` holds four times, as a set of bits: of each byte the highest
 * three, for the first, second and third word of tags. All at once: a branch for each would be mispredicted half the
 * time.
 */
function placesWith(words: Int32Array, at: number, tags: number): number {
  const first = zeroBytes(words[at + TAGS] ^ tags);
  const second = zeroBytes(words[at + TAGS + 1] ^ tags);
  const third = zeroBytes(words[at + TAGS + 2] ^ tags);
  return first | (second >>> 1) | (third >>> 2);
}

/** The highest bit of each byte that is zero. */
function zeroBytes(word: number): number {
  return ~(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS);
}

/** The place that the highest bit of a set stands for. */
function firstPlace(places: number): number {
  const bit = 31 - Math.clz32(places);
  return (7 - (bit & 7)) * 4 + (bit >>> 3);
}

function occupy(words: Int32Array, at: number, place: number, tag: number, ref: number): void {
  words[at + place] = ref;
  words[at + TAGS + (place >>> 2)] |= tag << ((place & 3) << 3);
}

/** The places that come before this one in a set, and itself. */
function placesThrough(place: number): number {
  return -1 << ((place & 3) * 8 + 7 - (place >>> 2));
}
