/**
 * Pieces of JSON that are read straight from a body's bytes where they look as they nearly always do. What looks
 * different is `NOT_PLAIN` and left to the general parser, which alone knows what is right and what to say when it
 * is not.
 */

/** A position: there is nothing plain. */
export const NOT_PLAIN = -1;

export const SPACE = 32;
export const QUOTE = 34;
export const COMMA = 44;
export const OPEN_OBJECT = 123;
export const CLOSE_OBJECT = 125;
const DASH = 45;
const ZERO = 48;
/** So many digits are exact in a double. */
const DIGITS_MAX = 15;

/** @returns the position behind `expected`, or that of no byte. */
export function behind(expected: Buffer, bytes: Buffer, from: number): number {
  for (let i = 0; i < expected.length; i++) if (bytes[from + i] !== expected[i]) return bytes.length;
  return from + expected.length;
}

/** @returns the position behind a space, if there is one. */
export function behindSpace(bytes: Buffer, from: number): number {
  return bytes[from] === SPACE ? from + 1 : from;
}

/** @returns the position behind an amount, or `NOT_PLAIN`. */
export function endOfAmount(bytes: Buffer, from: number): number {
  const first = bytes[from] === DASH ? from + 1 : from;
  let end = first;
  while (bytes[end] >= ZERO && bytes[end] <= ZERO + 9) end++;
  if (end === first || end > first + DIGITS_MAX) return NOT_PLAIN;
  // No number begins with 0 but 0 itself, and none is -0.
  if (bytes[first] === ZERO && end > from + 1) return NOT_PLAIN;
  return end;
}

/** The amount in `[from, end)`. */
export function amountAt(bytes: Buffer, from: number, end: number): number {
  const isNegative = bytes[from] === DASH;
  let amount = 0;
  for (let at = isNegative ? from + 1 : from; at < end; at++) amount = amount * 10 + bytes[at] - ZERO;
  return isNegative ? -amount : amount;
}
