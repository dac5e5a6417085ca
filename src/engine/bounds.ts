/** How much a bounded add may apply. The rare path, exact by `bigint`. */
import { DONE, ERRORS } from '../counter/errors.ts';
import { INT64_MAX, INT64_MIN } from '../counter/int64.ts';

export interface Bounds {
  readonly floor: bigint | undefined;
  readonly ceiling: bigint | undefined;
  readonly saturate: boolean;
}

export interface BoundedAdd {
  /** `DONE`, or an error id; with an error nothing is applied. */
  readonly code: number;
  readonly applied: bigint;
  readonly saturated: boolean;
}

/**
 * How much of `amount` may be added to `value`. A value that is already out of bounds (the bound came later) may always
 * move back towards them, never further out.
 */
export function boundedAdd(value: bigint, amount: bigint, bounds: Bounds): BoundedAdd {
  const wanted = value + amount;
  if (amount > 0n) {
    const ceiling = bounds.ceiling ?? INT64_MAX;
    if (wanted <= ceiling) return { code: DONE, applied: amount, saturated: false };
    const refusal = wanted > INT64_MAX && bounds.ceiling === undefined ? ERRORS.overflow : ERRORS.above_ceiling;
    return refuseOrSaturate(refusal.id, ceiling > value ? ceiling - value : 0n, bounds.saturate);
  }
  const floor = bounds.floor ?? INT64_MIN;
  if (amount === 0n || wanted >= floor) return { code: DONE, applied: amount, saturated: false };
  const refusal = wanted < INT64_MIN && bounds.floor === undefined ? ERRORS.overflow : ERRORS.below_floor;
  return refuseOrSaturate(refusal.id, floor < value ? floor - value : 0n, bounds.saturate);
}

function refuseOrSaturate(code: number, fits: bigint, saturate: boolean): BoundedAdd {
  return saturate ? { code: DONE, applied: fits, saturated: true } : { code, applied: 0n, saturated: false };
}

/** What a bounded set stores, or the error id. */
export function boundedSet(value: bigint, bounds: Bounds): { readonly code: number; readonly value: bigint } {
  if (bounds.ceiling !== undefined && value > bounds.ceiling) {
    return bounds.saturate ? { code: DONE, value: bounds.ceiling } : { code: ERRORS.above_ceiling.id, value };
  }
  if (bounds.floor !== undefined && value < bounds.floor) {
    return bounds.saturate ? { code: DONE, value: bounds.floor } : { code: ERRORS.below_floor.id, value };
  }
  return { code: DONE, value };
}

/** The tighter of the policy's and the request's bounds. */
export function tighter(
  a:
    | {
        readonly floor?: bigint | undefined;
        readonly ceiling?: bigint | undefined;
        readonly saturate?: boolean | undefined;
      }
    | undefined,
  b:
    | {
        readonly floor?: bigint | undefined;
        readonly ceiling?: bigint | undefined;
        readonly saturate?: boolean | undefined;
      }
    | undefined,
): Bounds {
  return {
    floor: pick(a?.floor, b?.floor, (x, y) => x > y),
    ceiling: pick(a?.ceiling, b?.ceiling, (x, y) => x < y),
    saturate: a?.saturate === true || b?.saturate === true,
  };
}

function pick(
  a: bigint | undefined,
  b: bigint | undefined,
  isTighter: (x: bigint, y: bigint) => boolean,
): bigint | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return isTighter(a, b) ? a : b;
}
