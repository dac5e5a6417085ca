/**
 * Loads the records of a snapshot into an empty table: directly into the slab, one after another, and into the index
 * part by part. One by one, each would wait for an index line anywhere in memory. So they are gathered by the top bits
 * of their hashes, and a part's lines stay in the cache while its records are added.
 *
 * Invariants:
 * - No record is looked up before `finish`.
 * - Records of one key have one hash, so they come into the index in the order in which they were read: a snapshot,
 *   which is written beside running traffic, may hold a key twice, and the last one is valid.
 */
import { Block, type Blocks } from '../journal/entries/blocks.ts';
import type { IndexLeaf } from '../journal/entries/index-leaf.ts';
import type { TableHead } from '../journal/entries/table.ts';
import { ValueEntry, type Values } from '../journal/entries/value.ts';
import { assert } from '../std/assert.ts';
import type { Records } from './records.ts';
import { FIRST_UNIT, Meta } from './slab.ts';

const PARTS_LOG2 = 9;
const PARTS = 1 << PARTS_LOG2;
/**
 * Records that are gathered for a part: 32 MiB for all of them. Not a power of two: the parts, which are filled at the
 * same pace, would otherwise compete for the same few cache sets.
 */
const GATHERED_MAX = 8200;

export class SnapshotLoad {
  readonly #records: Records;
  /** Per part: hash and record of each that was gathered. */
  readonly #gathered = new Int32Array(PARTS * GATHERED_MAX * 2);
  readonly #counts = new Int32Array(PARTS);
  #last = 0;
  /** The approximate number of further records; 0 once there is room for them. */
  #expected: number;
  /** The index is restored from the snapshot, so records are added only to the slab. */
  #isIndexed = false;
  /** How many did. */
  #placed = 0;
  /** Records of the last stretch that have a deadline, in its order, and how many of them have got it. */
  readonly #awaiting: number[] = [];
  #awaited = 0;

  /** @param records are empty. @param count about so many will come. */
  constructor(records: Records, count: number) {
    this.#records = records;
    this.#expected = count;
  }

  /** A copy of a table follows, with or without its index. */
  table({ records, indexDepth, hashKey }: TableHead): void {
    const { slab, table } = this.#records;
    this.#expected = records;
    if (indexDepth === 0) return;
    assert(slab.frontier === FIRST_UNIT, 'an index comes before all records');
    table.adoptHashKey(hashKey);
    table.index.beginRestore(indexDepth);
    this.#isIndexed = true;
  }

  indexLeaf(leaf: IndexLeaf): void {
    assert(this.#isIndexed, 'a leaf of an index follows the head of its table');
    this.#records.table.index.restore(leaf);
  }

  values(values: Values, hashes: Int32Array): void {
    assert(!this.#isIndexed, 'a table that is copied with its index states no records besides its blocks');
    this.#reserve();
    const { words, at, count } = values;
    for (let i = 0; i < count; i++) {
      const entry = at[i];
      const ref = this.#records.slab.insertValue(
        words[entry + ValueEntry.low],
        words[entry + ValueEntry.high],
        words[entry + ValueEntry.updatedAt],
        words[entry + ValueEntry.kindAndLength] & 0xff,
        words[entry + ValueEntry.kindAndLength] >>> 8,
        words,
        entry + ValueEntry.key,
      );
      this.#records.classify(ref);
      this.#gather(hashes[i], ref);
      this.#last = ref;
    }
  }

  /** Adds the stretch as it is, and then registers each of its blocks. */
  blocks({ words, view, from, to, at, count }: Blocks): void {
    const { slab, table } = this.#records;
    this.#reserve();
    const base = slab.append(words, from, to);
    assert(base !== 0, 'what was in a table fits into one');
    this.#awaiting.length = 0;
    this.#awaited = 0;
    for (let i = 0; i < count; i++) {
      const word = at[i];
      if (word < 0) {
        const end = i + 1 === count ? to : Math.max(at[i + 1], ~at[i + 1]);
        slab.free(base + ((~word - from) >>> 2), (end - ~word) >>> 2);
        continue;
      }
      const ref = base + ((word - from) >>> 2);
      const meta = words[word + Block.meta];
      if (this.#records.renew(ref, meta)) this.#awaiting.push(ref);
      if (this.#isIndexed) {
        this.#placed++;
        continue;
      }
      const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
      this.#gather(table.hash(kind, meta & Meta.nameLengthMask, view, (word + Block.key) * 4), ref);
    }
    this.#last = this.#awaiting[0] ?? 0;
  }

  /**
   * @returns false if it is not the deadline of the last record or of the next record of the last stretch: then the
   *   table must be complete before it is set.
   */
  deadline(unixMs: number, kind: number, nameLength: number, key: DataView, start: number): boolean {
    const ref = this.#last;
    if (ref === 0 || !this.#records.table.matches(ref, kind, nameLength, key, start)) return false;
    this.#records.setDeadline(ref, unixMs);
    if (ref === this.#awaiting[this.#awaited]) this.#last = this.#awaiting[++this.#awaited] ?? 0;
    return true;
  }

  /** Everything has been added; nothing may follow. */
  finish(): void {
    const { table } = this.#records;
    // A snapshot found to be damaged ends early, and another one is loaded on top.
    if (this.#isIndexed && !(table.index.isRestored && table.count === this.#placed)) table.indexAnew();
    for (let part = 0; part < PARTS; part++) this.#index(part);
    // Released now: until the next garbage collection it would count as the table's memory.
    this.#gathered.buffer.transfer(0);
  }

  /** Called with the first record: a copy of the table states how many there are. */
  #reserve(): void {
    if (this.#expected > 0 && !this.#isIndexed) this.#records.table.reserve(this.#expected);
    this.#expected = 0;
  }

  #gather(hash: number, ref: number): void {
    const part = hash >>> (32 - PARTS_LOG2);
    const count = this.#counts[part];
    const at = (part * GATHERED_MAX + count) * 2;
    this.#gathered[at] = hash;
    this.#gathered[at + 1] = ref;
    this.#counts[part] = count + 1;
    if (count + 1 === GATHERED_MAX) this.#index(part);
  }

  /** Puts what was gathered for a part into the index. */
  #index(part: number): void {
    const from = part * GATHERED_MAX * 2;
    const to = from + this.#counts[part] * 2;
    for (let at = from; at < to; at += 2) this.#records.table.touch(this.#gathered[at]);
    for (let at = from; at < to; at += 2) {
      const older = this.#records.table.adopt(this.#gathered[at], this.#gathered[at + 1]);
      if (older !== 0) this.#records.forget(older);
    }
    this.#counts[part] = 0;
  }
}
