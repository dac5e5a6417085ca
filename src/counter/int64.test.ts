import { describe, expect, it } from 'vitest';
import { fc } from '../../test/property.ts';
import {
  addInt64,
  fitsInt64,
  formatInt64,
  highLane,
  INT64_MAX,
  INT64_MIN,
  negateInt64,
  parseDecimal,
  parseInt64,
  readInt64,
  writeInt64,
} from './int64.ts';

/** Anywhere in the range, and often at the places where lanes, doubles and signs meet. */
const edges = [0n, 1n, -1n, INT64_MAX, INT64_MIN, INT64_MAX - 1n, INT64_MIN + 1n].concat(
  [31n, 32n, 33n, 52n, 53n, 54n, 62n].flatMap((bits) => [
    2n ** bits,
    2n ** bits - 1n,
    -(2n ** bits),
    -(2n ** bits) - 1n,
  ]),
  [9n, 10n, 18n].flatMap((digits) => [10n ** digits, 10n ** digits - 1n, -(10n ** digits)]),
);
const int64 = fc.oneof(
  fc.constantFrom(...edges),
  fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
  fc.bigInt({ min: -1000n, max: 1000n }),
);
const encoder = new TextEncoder();

function lanesOf(...values: bigint[]): Int32Array {
  const lanes = new Int32Array(values.length * 2);
  values.forEach((value, i) => {
    writeInt64(lanes, 2 * i, value);
  });
  return lanes;
}

describe('int64', () => {
  it('writes lanes as a BigInt64Array over the same memory reads them', () => {
    fc.assert(
      fc.property(int64, (value) => {
        const lanes = lanesOf(value);
        expect(new BigInt64Array(lanes.buffer)[0]).toBe(value);
        expect(readInt64(lanes, 0)).toBe(value);
      }),
    );
  });

  it('adds exactly, and refuses exactly what does not fit, leaving the target alone', () => {
    fc.assert(
      fc.property(int64, int64, (a, b) => {
        const lanes = lanesOf(a, b, 42n);
        const fits = addInt64(lanes, 4, lanes, 0, lanes, 2);
        expect(fits).toBe(fitsInt64(a + b));
        expect(readInt64(lanes, 4)).toBe(fits ? a + b : 42n);
      }),
      { numRuns: 2000 },
    );
  });

  it('adds in place', () => {
    fc.assert(
      fc.property(int64, int64, (a, b) => {
        fc.pre(fitsInt64(a + b));
        const lanes = lanesOf(a, b);
        addInt64(lanes, 0, lanes, 0, lanes, 2);
        expect(readInt64(lanes, 0)).toBe(a + b);
      }),
    );
  });

  it('negates everything but the minimum', () => {
    fc.assert(
      fc.property(int64, (value) => {
        const lanes = lanesOf(value);
        expect(negateInt64(lanes, 0)).toBe(value !== INT64_MIN);
        expect(readInt64(lanes, 0)).toBe(value === INT64_MIN ? value : -value);
      }),
    );
  });

  it('formats what it parses and parses what BigInt formats', () => {
    fc.assert(
      fc.property(int64, (value) => {
        const text = value.toString();
        const lanes = new Int32Array(2);
        expect(parseInt64(encoder.encode(`x${text}y`), 1, 1 + text.length, lanes, 0)).toBe(true);
        expect(readInt64(lanes, 0)).toBe(value);
        const out = new Uint8Array(24);
        const end = formatInt64(lanes[0], lanes[1], out, 2);
        expect(new TextDecoder().decode(out.subarray(2, end))).toBe(text);
        expect(parseDecimal(text)).toBe(value);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    '',
    '-',
    '+1',
    '01',
    '-0',
    '00',
    '-01',
    ' 1',
    '1 ',
    '1.0',
    '1e3',
    '0x1',
    'abc',
    '1a',
    'a1',
    '--1',
    '１',
    '9223372036854775808',
    '-9223372036854775809',
    '10000000000000000000',
    '99999999999999999999',
    '1/',
    '1:',
    '1a00000000000000000',
    '123456789a123456789',
  ])('refuses %j and leaves the target alone', (text) => {
    const lanes = lanesOf(7n);
    const bytes = encoder.encode(text);
    expect(parseInt64(bytes, 0, bytes.length, lanes, 0)).toBe(false);
    expect(readInt64(lanes, 0)).toBe(7n);
    expect(parseDecimal(text)).toBe(undefined);
  });
});

describe('the lanes of an integer that is exact in a double', () => {
  it('are those of the bigint', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer()), (value) => {
        expect([value | 0, highLane(value)]).toEqual([...lanesOf(BigInt(value))]);
      }),
      { numRuns: 1000 },
    );
  });
});
