/**
 * Exact signed 64-bit integers as two 32-bit lanes in an `Int32Array`: `[2i]` the low lane, `[2i + 1]` the high one,
 * which on a little-endian machine is what a `BigInt64Array` over the same buffer sees. An increment uses the lanes and
 * allocates nothing; other code may use `bigint`.
 */

export const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;

const DASH = 45;
const ZERO = 48;
const TEN_TO_9 = 1_000_000_000;
const TWO_TO_32 = 4294967296;

/** Whether a `bigint` fits in 64 bits. */
export function fitsInt64(value: bigint): boolean {
  return value >= INT64_MIN && value <= INT64_MAX;
}

/** The `bigint` of two lanes. */
export function int64OfLanes(low: number, high: number): bigint {
  const isExact = high >= -0x200000 && high < 0x200000;
  return isExact ? BigInt(high * TWO_TO_32 + (low >>> 0)) : (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Clamps to the signed 64-bit range. */
export function clampInt64(value: bigint): bigint {
  if (value > INT64_MAX) return INT64_MAX;
  return value < INT64_MIN ? INT64_MIN : value;
}

/**
 * Adds lane pair `b[j]` to lane pair `a[i]` and writes the sum to `out[o]`.
 * @returns false when the sum does not fit in 64 bits; `out` is then untouched.
 */
export function addInt64(out: Int32Array, o: number, a: Int32Array, i: number, b: Int32Array, j: number): boolean {
  const aLow = a[i];
  const aHigh = a[i + 1];
  const bHigh = b[j + 1];
  const low = (aLow + b[j]) | 0;
  const carry = low >>> 0 < aLow >>> 0 ? 1 : 0;
  const high = (aHigh + bHigh + carry) | 0;
  if (((aHigh ^ high) & (bHigh ^ high)) < 0) return false;
  out[o] = low;
  out[o + 1] = high;
  return true;
}

/** Negates the lane pair in place; false for the minimum, whose negative does not exist. */
export function negateInt64(lanes: Int32Array, at: number): boolean {
  const low = lanes[at];
  const high = lanes[at + 1];
  if (low === 0 && high === -0x80000000) return false;
  lanes[at] = -low | 0;
  lanes[at + 1] = (~high + (low === 0 ? 1 : 0)) | 0;
  return true;
}

/** The high lane of an integer that is exact in a double; the low one is `value | 0`. */
export function highLane(value: number): number {
  return Math.floor(value / 4294967296);
}

/** Writes a `bigint` that fits into a lane pair. */
export function writeInt64(lanes: Int32Array, at: number, value: bigint): void {
  lanes[at] = Number(BigInt.asIntN(32, value));
  lanes[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/** Reads a lane pair as `bigint`. */
export function readInt64(lanes: Int32Array, at: number): bigint {
  return (BigInt(lanes[at + 1]) << 32n) | BigInt(lanes[at] >>> 0);
}

/**
 * Parses a decimal integer as Redis does: an optional minus, no plus, no leading zeros, no `-0`, no blanks.
 * @returns false if the bytes are no such integer or do not fit in 64 bits; `out` is then untouched.
 */
export function parseInt64(bytes: ArrayLike<number>, start: number, end: number, out: Int32Array, at: number): boolean {
  const negative = start < end && bytes[start] === DASH;
  const first = negative ? start + 1 : start;
  const digits = end - first;
  if (digits < 1 || digits > 19) return false;
  if (bytes[first] === ZERO && (digits > 1 || negative)) return false;
  // Up to 9 digits a part, so that each is exact in a double.
  const top = parseDigits(bytes, first, Math.max(first, end - 18));
  const middle = parseDigits(bytes, Math.max(first, end - 18), Math.max(first, end - 9));
  const bottom = parseDigits(bytes, Math.max(first, end - 9), end);
  if (top < 0 || middle < 0 || bottom < 0) return false;
  if (top === 0) {
    const value = middle * TEN_TO_9 + bottom;
    if (value <= Number.MAX_SAFE_INTEGER) {
      const high = highLane(value);
      const low = value | 0;
      out[at] = negative ? -low | 0 : low;
      out[at + 1] = negative ? (~high + (low === 0 ? 1 : 0)) | 0 : high;
      return true;
    }
  }
  const magnitude = (BigInt(top) * 1_000_000_000n + BigInt(middle)) * 1_000_000_000n + BigInt(bottom);
  const value = negative ? -magnitude : magnitude;
  if (!fitsInt64(value)) return false;
  writeInt64(out, at, value);
  return true;
}

/** The value of the digits in [start, end), 0 for none, -1 if one is not a digit. */
function parseDigits(bytes: ArrayLike<number>, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * Writes the decimal text of a lane pair into `out` from `at` on (at most 20 bytes).
 * @returns the position after the last byte.
 */
export function formatInt64(low: number, high: number, out: Uint8Array, at: number): number {
  // Two's complement of a number below 2^53 is exact in a double: high * 2^32 + low.
  if (high >= -0x200000 && high < 0x200000) return formatSafe(high * 4294967296 + (low >>> 0), out, at);
  const text = ((BigInt(high) << 32n) | BigInt(low >>> 0)).toString();
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}

function formatSafe(value: number, out: Uint8Array, at: number): number {
  let rest = value;
  let position = at;
  if (rest < 0) {
    out[position++] = DASH;
    rest = -rest;
  }
  const start = position;
  while (rest >= 0x80000000) {
    const quotient = Math.floor(rest / 10);
    out[position++] = ZERO + (rest - quotient * 10);
    rest = quotient;
  }
  let small = rest | 0;
  do {
    const quotient = (small / 10) | 0;
    out[position++] = ZERO + (small - quotient * 10);
    small = quotient;
  } while (small > 0);
  for (let i = start, j = position - 1; i < j; i++, j--) {
    const digit = out[i];
    out[i] = out[j];
    out[j] = digit;
  }
  return position;
}

/** Parses a decimal string with the rules of `parseInt64`; undefined when it is not one. */
export function parseDecimal(text: string): bigint | undefined {
  if (!/^(0|-?[1-9][0-9]{0,18})$/.test(text)) return undefined;
  const value = BigInt(text);
  return fitsInt64(value) ? value : undefined;
}
