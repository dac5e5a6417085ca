/** Checks the arguments of callers in this process, and refuses them. */
import { CountingError, type CountingErrorDetails, errorCode } from '../counter/errors.ts';
import { fitsInt64 } from '../counter/int64.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';

/** A count: any 64-bit integer as `bigint`, or a safe integer as `number`. */
export type Count = bigint | number;

/**
 * Lone surrogates have no UTF-8: encoded, different names would become one. Names that are certainly too long are
 * refused before they take memory; the engine counts the bytes.
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

/** A misspelt option would silently change what is counted. @throws TypeError for an unknown option */
export function checkKnown(options: object, known: readonly string[], where = ''): void {
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
  if (!isObject) throw new TypeError(`${where}options are an object with ${known.join(', ')}`);
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`${where}unknown option '${name}'; there are ${known.join(', ')}`);
  }
}

/** A refusal of the engine as thrown to a program; the catalogue speaks of a server. @param id other than `DONE` */
export function refusal(id: number, details?: CountingErrorDetails): CountingError {
  const code = errorCode(id);
  return code === 'shutting_down' ? closed() : new CountingError(code, undefined, details);
}

/** Why no more updates are accepted. */
export function closed(): CountingError {
  return new CountingError('shutting_down', 'this tally was closed; nothing was changed; open its directory again');
}
