/** Reads the fields of an increment from a body or a batch entry that its schema has accepted. */
import type { CommandOptions } from '../../counter/chunk.ts';
import { CountingError } from '../../counter/errors.ts';
import { INT64_MIN } from '../../counter/int64.ts';
import { countOf, deadlineOf } from './integers.ts';
import type { IntegerText } from './schemas.ts';

interface Bounded {
  readonly floor?: IntegerText;
  readonly ceiling?: IntegerText;
  readonly saturate?: boolean;
  readonly ttl?: IntegerText;
  readonly ttlIfNone?: boolean;
}

/** The amount to add; default 1. @throws CountingError invalid_number, overflow */
export function amountOf(by: IntegerText | undefined, field: string, isDecrement: boolean): bigint {
  const amount = by === undefined ? 1n : countOf(by, field);
  if (!isDecrement) return amount;
  if (amount === INT64_MIN) {
    throw new CountingError(
      'overflow',
      `${field}: the opposite of ${INT64_MIN} does not fit in 64 bits; nothing was changed`,
    );
  }
  return -amount;
}

/** The bounds and the deadline, if any. @throws CountingError invalid_number, invalid_deadline */
export function boundsOf(asked: Bounded): CommandOptions | undefined {
  const { floor, ceiling, saturate, ttl, ttlIfNone } = asked;
  if (ttlIfNone === true && ttl === undefined) {
    throw new CountingError('invalid_deadline', 'ttlIfNone says when a ttl counts: give the ttl, too');
  }
  if (floor === undefined && ceiling === undefined && saturate === undefined && ttl === undefined) return undefined;
  const lower = floor === undefined ? undefined : countOf(floor, 'floor');
  const upper = ceiling === undefined ? undefined : countOf(ceiling, 'ceiling');
  if (lower !== undefined && upper !== undefined && lower > upper) {
    throw new CountingError('invalid_number', `the floor ${lower} is above the ceiling ${upper}`);
  }
  return {
    floor: lower,
    ceiling: upper,
    saturate,
    deadline: ttl === undefined ? undefined : deadlineOf(ttl),
    deadlineOnlyIf: ttlIfNone === true ? 'none' : undefined,
  };
}
