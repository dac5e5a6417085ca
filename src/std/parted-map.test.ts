import { afterEach, describe, expect, it, vi } from 'vitest';
import { seed } from '../../test/seed.ts';
import { PartedMap } from './parted-map.ts';
import { SeededRandom } from './random.ts';

/** No `Map` may hold more: to grow it moves all of them. */
const HELD_MAX = 20_000;

describe('PartedMap', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('is a map', () => {
    const random = new SeededRandom(seed);
    const [map, model] = [new PartedMap<number>(), new Map<string, number>()];
    let differing = 0;
    for (let step = 0; step < 120_000; step++) {
      const key = `counter:${random.below(40_000)}`;
      if (random.chance(0.2)) {
        if (map.delete(key) !== model.delete(key)) differing++;
      } else if (random.chance(0.5)) {
        if (map.add(key, step) !== model.get(key)) differing++;
        if (!model.has(key)) model.set(key, step);
      } else {
        map.set(key, step);
        model.set(key, step);
      }
    }
    for (let i = 0; i < 40_000; i++) {
      const key = `counter:${i}`;
      if (map.get(key) !== model.get(key) || map.has(key) !== model.has(key)) differing++;
    }
    expect([differing, map.size]).toEqual([0, model.size]);
    expect(new Map(map.entries())).toEqual(model);
    expect([...map.keys()]).toHaveLength(model.size);
    expect(new Set(map.keys())).toEqual(new Set(model.keys()));
    expect([...map.values()].sort()).toEqual([...model.values()].sort());
    map.clear();
    expect([map.size, [...map.keys()], map.get('counter:1')]).toEqual([0, [], undefined]);
  });

  it('moves a bounded number of entries at a time as it grows', () => {
    const set = Map.prototype.set;
    let [sets, setsMax, heldMax] = [0, 0, 0];
    vi.spyOn(Map.prototype, 'set').mockImplementation(function (this: Map<unknown, unknown>, key, value) {
      sets++;
      heldMax = Math.max(heldMax, this.size);
      return set.call(this, key, value);
    });
    const map = new PartedMap<number>();
    for (let i = 0; i < 150_000; i++) {
      sets = 0;
      map.set(`counter:${i}`, i);
      setsMax = Math.max(setsMax, sets);
    }
    vi.restoreAllMocks();
    expect(heldMax).toBeLessThan(HELD_MAX);
    expect(setsMax).toBeLessThan(HELD_MAX);
  });

  it('shows a walk everything that is there throughout, however it grows meanwhile', () => {
    const map = new PartedMap<number>();
    for (let i = 0; i < 10_000; i++) map.set(`${i}`, i);
    const seen = new Set<string>();
    let more = 10_000;
    for (const key of map.keys()) {
      seen.add(key);
      for (let i = 0; i < 3 && more < 50_000; i++) map.set(`${more}`, more++);
    }
    for (let i = 0; i < 10_000; i++) expect(seen.has(`${i}`)).toBe(true);
  });
});
