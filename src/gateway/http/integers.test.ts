import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { INT64_MAX, INT64_MIN, writeInt64 } from '../../counter/int64.ts';
import { countText } from './integers.ts';
import {
  COUNT_BYTES_MAX,
  fragment,
  JsonBytes,
  quotedBytesMax,
  writeCount,
  writeFragment,
  writeQuoted,
} from './json-writer.ts';

/** Anywhere, and close to every power of two, where lanes and doubles have their edges. */
const count = fc.oneof(
  fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
  fc
    .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: -3, max: 3 }), fc.boolean())
    .map(([power, near, isNegative]) => (isNegative ? -1n : 1n) * 2n ** BigInt(power) + BigInt(near))
    .filter((value) => value >= INT64_MIN && value <= INT64_MAX),
);

describe('a count in an answer', () => {
  it('is exact, as text and as bytes', () => {
    fc.assert(
      fc.property(count, fc.boolean(), (value, asString) => {
        const lanes = new Int32Array(4);
        writeInt64(lanes, 2, value);
        const bytes = Buffer.alloc(COUNT_BYTES_MAX + 1);
        const end = writeCount(lanes, 2, asString, bytes, 1);
        const expected = asString ? `"${value}"` : `${value}`;
        expect(countText(lanes, 2, asString)).toBe(expected);
        expect(bytes.toString('utf8', 1, end)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the writer', () => {
  it('quotes names as JSON.stringify does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (before, name) => {
        const bytes = Buffer.from(before + name);
        const start = Buffer.byteLength(before);
        const json = new JsonBytes();
        json.reserve(1 + quotedBytesMax(bytes.length - start));
        json.length = writeFragment(fragment('['), json.view, 0);
        json.length = writeQuoted(bytes, start, bytes.length - start, json.bytes, json.length);
        json.text(',"é"]');
        expect(JSON.parse(json.written.toString())).toEqual([name, 'é']);
      }),
      { numRuns: 1000 },
    );
  });
});
