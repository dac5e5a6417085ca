/**
 * Encodes and decodes counts. A count is a signed 64-bit integer; a JavaScript number is exact up to 2^53 only. So
 * counts go out as decimal strings, come back as decimal strings (`?numbers=string`) and are `bigint` in between.
 */

/**
 * A caller's count as sent on the wire. The server checks whether it fits 64 bits.
 * @throws TypeError for anything but a bigint or a safe integer: a rounded count is a wrong count.
 */
export function countText(value: bigint | number, what: string): string {
  if (typeof value === 'bigint') return value.toString();
  if (Number.isSafeInteger(value)) return BigInt(value).toString();
  throw new TypeError(`${what} must be a bigint or a safe integer, not ${describe(value)}`);
}

/**
 * A count in an answer.
 * @throws SyntaxError if it is not a count; a number beyond 2^53 is not, because it may have been rounded.
 */
export function countOf(value: unknown, what: string): bigint {
  if (typeof value === 'string' && /^-?\d{1,19}$/.test(value)) return BigInt(value);
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  throw new SyntaxError(`the answer's ${what} is no count: ${describe(value)}`);
}

/** A small number in an answer (how many, how large); a string of digits after `?numbers=string`. */
export function numberOf(value: unknown, what: string): number {
  return Number(countOf(value, what));
}

/** The counter's state in a refusal for a bound: its count, and when it expires. */
export function standingOf(refusal: Record<string, unknown>): { value?: bigint; ttlSeconds?: number } {
  const { value, ttl } = refusal;
  return {
    ...(value === undefined ? {} : { value: countOf(value, 'value') }),
    ...(ttl === undefined ? {} : { ttlSeconds: numberOf(ttl, 'ttl') }),
  };
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value);
}
