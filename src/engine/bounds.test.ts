import { describe, expect, it } from 'vitest';
import { fc } from '../../test/property.ts';
import { DONE, ERRORS } from '../counter/errors.ts';
import { fitsInt64, INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { boundedAdd, boundedSet, tighter } from './bounds.ts';

const small = fc.bigInt({ min: -20n, max: 20n });
const any = fc.oneof(
  small,
  fc.constantFrom(INT64_MAX, INT64_MIN, INT64_MAX - 1n),
  fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
);
const bound = fc.option(any, { nil: undefined });

describe('a bounded add', () => {
  it('never leaves the bounds or 64 bits, never moves the wrong way, and applies all that fits', () => {
    fc.assert(
      fc.property(any, any, bound, bound, fc.boolean(), (value, amount, floor, ceiling, saturate) => {
        fc.pre(floor === undefined || ceiling === undefined || floor <= ceiling);
        const add = boundedAdd(value, amount, { floor, ceiling, saturate });
        const result = value + add.applied;
        expect(fitsInt64(result)).toBe(true);
        if (add.code !== DONE) expect(add.applied).toBe(0n);
        if (amount > 0n && add.applied !== 0n && ceiling !== undefined) expect(result <= ceiling).toBe(true);
        if (amount < 0n && add.applied !== 0n && floor !== undefined) expect(result >= floor).toBe(true);
        expect(
          amount >= 0n ? add.applied >= 0n && add.applied <= amount : add.applied <= 0n && add.applied >= amount,
        ).toBe(true);
        if (saturate) expect(add.code).toBe(DONE);
        const isAtLimit = result === (amount > 0n ? (ceiling ?? INT64_MAX) : (floor ?? INT64_MIN));
        if (add.saturated && add.applied !== 0n) expect(isAtLimit).toBe(true);
        if (add.code === DONE && !add.saturated) expect(add.applied).toBe(amount);
      }),
      { numRuns: 3000 },
    );
  });

  it('names the reason', () => {
    const none = { floor: undefined, ceiling: undefined, saturate: false };
    expect(boundedAdd(INT64_MAX, 1n, none).code).toBe(ERRORS.overflow.id);
    expect(boundedAdd(INT64_MIN, -1n, none).code).toBe(ERRORS.overflow.id);
    expect(boundedAdd(3n, -4n, { ...none, floor: 0n }).code).toBe(ERRORS.below_floor.id);
    expect(boundedAdd(3n, 4n, { ...none, ceiling: 6n }).code).toBe(ERRORS.above_ceiling.id);
    expect(boundedAdd(-5n, 1n, { ...none, floor: 0n }).applied).toBe(1n);
    expect(boundedAdd(-5n, -1n, { ...none, floor: 0n, saturate: true }).applied).toBe(0n);
  });

  it('sets within bounds, or clamps', () => {
    expect(boundedSet(9n, tighter({ ceiling: 5n }, undefined)).code).toBe(ERRORS.above_ceiling.id);
    expect(boundedSet(9n, tighter({ ceiling: 5n }, { saturate: true }))).toEqual({ code: DONE, value: 5n });
    expect(boundedSet(-9n, tighter({ floor: 0n }, undefined)).code).toBe(ERRORS.below_floor.id);
    expect(tighter({ floor: 1n, ceiling: 9n }, { floor: 3n, ceiling: 20n })).toEqual({
      floor: 3n,
      ceiling: 9n,
      saturate: false,
    });
  });
});
