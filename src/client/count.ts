/**
 * Counts on their way in and out. A count is a signed 64-bit integer; a JavaScript number is exact up to 2^53 only.
 * So counts go out as decimal strings, come back as decimal strings (`?numbers=string`) and are `bigint` in between.
 */

/**
 * What a caller gave as a count, as the wire carries it. Whether it fits 64 bits is the server's to say.
 * @throws TypeError for anything but a bigint or a safe integer: a rounded count is a wrong count.
 */
export function countText(value: bigint | number, what: string): string {
  if (typeof value === 'bigint') return value.toString();
  if (Number.isSafeInteger(value)) return BigInt(value).toString();
  throw new TypeError(`${what} must be a bigint or a safe integer, not ${describe(value)}`);
}

/**
 * A count in an answer.
 * @throws SyntaxError when it is none; a number beyond 2^53 is none, for it may have been rounded.
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

/** What a refusal by a bound tells of the counter: its count, and when it expires. */
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
