/** Integers out of requests (a literal or a decimal string, as the schemas allow) and into answers. */
import type { DeadlineChange, Standing } from '../../counter/chunk.ts';
import { parseDecimal, readInt64 } from '../../counter/int64.ts';
import { DEADLINE_MS_MAX } from '../../counter/limits.ts';
import { assert } from '../../std/assert.ts';
import type { IntegerText } from './schemas.ts';
import { invalidCount, invalidTtl, TTL_SECONDS_MAX } from './validation.ts';

assert(2 * TTL_SECONDS_MAX * 1000 <= DEADLINE_MS_MAX, 'now and a ttl together are an exact time');

/** @throws CountingError invalid_number when it does not fit 64 bits. */
export function countOf(value: IntegerText, field: string): bigint {
  if (typeof value === 'number') return BigInt(value);
  const parsed = parseDecimal(value);
  if (parsed === undefined) throw invalidCount(field);
  return parsed;
}

/** The deadline that a ttl in seconds asks for. @throws CountingError invalid_deadline */
export function deadlineOf(ttl: IntegerText): DeadlineChange {
  // A string beyond 2^53 is rounded here, and too large all the same.
  const seconds = Number(ttl);
  if (!(seconds > 0 && seconds <= TTL_SECONDS_MAX)) throw invalidTtl();
  return { kind: 'in', ms: seconds * 1000 };
}

/** The counter's state in a refusal for a bound, as further fields of a JSON object; empty for any other refusal. */
export function standingFields(standing: Standing | undefined, asStrings: boolean): string {
  if (standing === undefined) return '';
  const { value, ttlMs } = standing;
  const ttl = ttlMs === undefined ? '' : `,"ttl":${Math.ceil(ttlMs / 1000)}`;
  return `,"value":${asStrings ? `"${value}"` : value}${ttl}`;
}

/** The decimal text of the lane pair at `at`, in quotes when asked for. */
export function countText(lanes: Int32Array, at: number, asString: boolean): string {
  const low = lanes[at];
  const high = lanes[at + 1];
  const isExact = high >= -0x200000 && high < 0x200000;
  const text = isExact ? String(high * 4294967296 + (low >>> 0)) : readInt64(lanes, at).toString();
  return asString ? `"${text}"` : text;
}
