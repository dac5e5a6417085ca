import { describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { SeededRandom } from '../std/random.ts';
import { NameIndex } from './name-index.ts';

/** An index over records whose hashes are known from a list: record `ref` has `hashes[ref]`. */
function indexOver(hashes: readonly number[]): NameIndex {
  return new NameIndex((refs, count, out) => {
    for (let i = 0; i < count; i++) out[i] = hashes[refs[i]];
  });
}

/** All records that a look-up of the hash meets. */
function candidates(index: NameIndex, hash: number): number[] {
  const refs: number[] = [];
  for (let at = index.first(hash); at >= 0; at = index.next(at, hash)) refs.push(index.ref(at));
  const batch = new Int32Array(1);
  index.firstRefs(Int32Array.of(hash), 0, 1, batch);
  expect(batch[0]).toBe(refs[0] ?? 0);
  return refs;
}

describe('the index', () => {
  it('meets every record of a hash once, in its own line and in those behind it', () => {
    const hashes = Array.from({ length: 101 }, () => 0x12345678);
    const index = indexOver(hashes);
    for (let ref = 1; ref <= 100; ref++) index.insert(hashes[ref], ref);
    const all = Array.from({ length: 100 }, (_, i) => i + 1);
    expect(candidates(index, 0x12345678).sort((a, b) => a - b)).toEqual(all);
    for (const ref of all.filter((each) => each % 3 !== 0)) index.remove(0x12345678, ref);
    expect(candidates(index, 0x12345678).sort((a, b) => a - b)).toEqual(all.filter((each) => each % 3 === 0));
    for (const ref of all.filter((each) => each % 3 === 0)) index.remove(0x12345678, ref);
    expect(candidates(index, 0x12345678)).toEqual([]);
    expect(index.count).toBe(0);
  });

  it('goes past full lines, the last of a leaf included, and comes back when there is room', () => {
    // Line 255 of one leaf, with tags of their own.
    const hashes = Array.from({ length: 31 }, (_, i) => (i << 8) | 255);
    const index = indexOver(hashes);
    for (let ref = 1; ref <= 30; ref++) index.insert(hashes[ref], ref);
    for (let ref = 1; ref <= 30; ref++) expect(candidates(index, hashes[ref])).toContain(ref);
    expect(candidates(index, (77 << 8) | 255)).toEqual([]);
    for (let ref = 1; ref <= 20; ref++) index.remove(hashes[ref], ref);
    for (let ref = 21; ref <= 30; ref++) expect(candidates(index, hashes[ref])).toContain(ref);
    for (let ref = 1; ref <= 20; ref++) index.insert(hashes[ref], ref);
    for (let ref = 1; ref <= 30; ref++) expect(candidates(index, hashes[ref])).toContain(ref);
  });

  it('keeps what was inserted through splits, and forgets what was removed', () => {
    const random = new SeededRandom(seed);
    const hashes = Array.from({ length: 50_001 }, () => (random.below(2 ** 16) << 16) | random.below(2 ** 16));
    const index = indexOver(hashes);
    for (let ref = 1; ref <= 50_000; ref++) index.insert(hashes[ref], ref);
    for (let ref = 1; ref <= 50_000; ref += 2) index.remove(hashes[ref], ref);
    expect(index.count).toBe(25_000);
    for (let ref = 1; ref <= 50_000; ref++) {
      if (candidates(index, hashes[ref]).includes(ref) !== (ref % 2 === 0)) expect.fail(`record ${ref}`);
    }
  });

  it('takes as many records as it was presized for without growing much, and goes on growing behind', () => {
    const random = new SeededRandom(12);
    const hashes = Array.from({ length: 60_001 }, () => (random.below(2 ** 16) << 16) | random.below(2 ** 16));
    let rehashed = 0;
    const index = new NameIndex((refs, count, out) => {
      rehashed += count;
      for (let i = 0; i < count; i++) out[i] = hashes[refs[i]];
    });
    index.reserve(18_000);
    const presized = index.byteLength;
    for (let ref = 1; ref <= 18_000; ref++) index.insert(hashes[ref], ref);
    expect(rehashed).toBe(0);
    expect(index.byteLength).toBe(presized);
    for (let ref = 18_001; ref <= 60_000; ref++) index.insert(hashes[ref], ref);
    expect(rehashed).toBeGreaterThan(0);
    for (let ref = 1; ref <= 60_000; ref++) {
      if (!candidates(index, hashes[ref]).includes(ref)) expect.fail(`record ${ref}`);
    }
  });

  it('adds a record without a look-up only where it sees that none can be met', () => {
    const line = 7;
    const hashes = Array.from({ length: 14 }, (_, i) => (i << 8) | line);
    const index = indexOver(hashes);
    for (let ref = 1; ref <= 12; ref++) expect(index.insertAlone(hashes[ref], ref)).toBe(true);
    expect(index.insertAlone(hashes[13], 13), 'its home is full').toBe(false);
    index.insert(hashes[13], 13);
    index.remove(hashes[1], 1);
    expect(index.insertAlone(hashes[13], 1), 'one like it lies behind').toBe(false);
    expect(index.insertAlone(hashes[2], 1), 'one like it is there').toBe(false);
    expect(index.count).toBe(12);
  });

  it('leaves places in a leaf, so that look-ups end soon, also for records added without one', () => {
    const index = indexOver([]);
    let added = 0;
    for (let i = 1; i <= 256 * 12; i++) if (index.insertAlone(((1 + (i >>> 8)) << 8) | (i & 255), i)) added++;
    expect(added).toBeLessThan(256 * 12 * 0.9);
    expect(index.count).toBe(added);
  });
});
