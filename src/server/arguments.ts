/** What callers in this process hand in, checked. */
import { CountingError } from '../counter/errors.ts';
import { fitsInt64 } from '../counter/int64.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';

/** A count: any 64-bit integer as `bigint`, or a safe integer as `number`. */
export type Count = bigint | number;

/**
 * Lone surrogates have no UTF-8: encoded, different names would become one. What is certainly too long is refused
 * before it takes memory; the engine counts the bytes.
 * @throws CountingError invalid_name
 */
export function checkedName(name: string): string {
  if (typeof name !== 'string' || name.length > NAME_BYTES_MAX || !name.isWellFormed())
    throw new CountingError('invalid_name');
  return name;
}

/** @throws CountingError invalid_number */
export function checkedCount(count: Count): bigint {
  if (typeof count === 'number' && Number.isSafeInteger(count)) return BigInt(count);
  if (typeof count === 'bigint' && fitsInt64(count)) return count;
  throw new CountingError('invalid_number', `${String(count)} is neither a bigint of 64 bits nor a safe integer`);
}
