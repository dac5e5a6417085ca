import { describe, expect, it } from 'vitest';
import { NameMap } from './name-map.ts';
import { OwnId, SharedCounter, UNWATCHED } from './shared-counter.ts';

const NAMES = [
  'a',
  'é',
  'Ã©',
  'nul\0',
  '\u{1f600}',
  '\ufeff',
  ...Array.from({ length: 2_000 }, (_, i) => `counter:${i}`),
];

describe('counters by name', () => {
  it('are found by name and by bytes, each its own, until they are taken out', () => {
    const map = new NameMap();
    const counters = NAMES.map((name) => new SharedCounter(name, new OwnId('x'), UNWATCHED));
    for (const counter of counters) map.set(counter);
    const found = (counter: SharedCounter): unknown[] => {
      const bytes = Buffer.from(`<${counter.name}>`);
      return [map.find(counter.name), map.findBytes(bytes, 1, bytes.length - 1)];
    };
    for (const counter of counters) expect(found(counter)).toEqual([counter, counter]);
    for (const [i, counter] of counters.entries()) if (i % 2 === 0) map.delete(counter);
    for (const [i, counter] of counters.entries()) {
      const expected = i % 2 === 0 ? undefined : counter;
      expect(found(counter)).toEqual([expected, expected]);
    }
  });
});
