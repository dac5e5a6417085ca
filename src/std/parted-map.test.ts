import { afterEach, describe, expect, it, vi } from 'vitest';
import { PartedMap } from './parted-map.ts';
import { SeededRandom } from './random.ts';

/** No `Map` may hold more: to grow it moves all of them. */
const HELD_MAX = 10_000;

describe('PartedMap', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('is a map', () => {
    const random = new SeededRandom(1);
    const [map, model] = [new PartedMap<number>(), new Map<string, number>()];
    for (let step = 0; step < 60_000; step++) {
      const key = `counter:${random.below(20_000)}`;
      if (random.chance(0.2)) expect(map.delete(key)).toBe(model.delete(key));
      else {
        map.set(key, step);
        model.set(key, step);
      }
    }
    const sorted = <Item>(items: Iterable<Item>): Item[] => [...items].sort();
    expect(map.size).toBe(model.size);
    expect(sorted(map.entries())).toEqual(sorted(model));
    expect(sorted(map.keys())).toEqual(sorted(model.keys()));
    expect(sorted(map.values())).toEqual(sorted(model.values()));
    for (let i = 0; i < 20_000; i++) {
      const key = `counter:${i}`;
      expect([map.get(key), map.has(key)]).toEqual([model.get(key), model.has(key)]);
    }
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
    for (let i = 0; i < 60_000; i++) {
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
