/**
 * Reads the batches that nearly everybody sends, entries of a name and a small amount, as a JSON array or as lines,
 * straight from the body's bytes into a chunk: no string, no object, and the names stay where they lie.
 *
 * A body that differs in anything (another field or order, an escape in a name, a count of 16 digits or in quotes,
 * more white space than a space behind a colon or a comma) is not read here but as a whole by the general parser
 * (`batch-body.ts`), which alone knows what is right and what to say when it is not.
 */
import { isUtf8 } from 'node:buffer';
import { type Chunk, Op } from '../../counter/chunk.ts';
import { BATCH_ENTRIES_MAX, NAME_BYTES_MAX } from '../../counter/limits.ts';

const LINE_END = 10;
const RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const DASH = 45;
const ZERO = 48;
const BACKSLASH = 92;
const OPEN_ARRAY = 91;
const CLOSE_ARRAY = 93;
const CLOSE_ENTRY = 125;
const NAME_FIELD = Buffer.from('{"name":');
const BY_FIELD = Buffer.from('"by":');
/** So many digits are exact in a double. */
const DIGITS_MAX = 15;
/** A position: what is read here is not plain. */
const NOT_PLAIN = -1;

/**
 * Appends the entries of a plain batch to an empty chunk, which then has its names in `bytes`.
 * @returns false: it is not a plain batch, and the chunk is empty again.
 */
export function readPlainBatch(bytes: Buffer, areLines: boolean, chunk: Chunk): boolean {
  if (!isUtf8(bytes)) return false;
  chunk.names = bytes;
  const isArray = !areLines && bytes[0] === OPEN_ARRAY;
  const end = isArray ? readArray(bytes, chunk) : readLines(bytes, chunk);
  const isWhole = end === bytes.length || (end === bytes.length - 1 && bytes[end] === LINE_END);
  if (end !== NOT_PLAIN && isWhole) return true;
  chunk.reset();
  return false;
}

/** @returns the position behind the array, or `NOT_PLAIN`. */
function readArray(bytes: Buffer, chunk: Chunk): number {
  let at = 1;
  while (chunk.count < BATCH_ENTRIES_MAX) {
    at = readEntry(bytes, at, chunk);
    if (at === NOT_PLAIN) return NOT_PLAIN;
    const separator = bytes[at++];
    if (separator === CLOSE_ARRAY) return at;
    if (separator !== COMMA) return NOT_PLAIN;
    if (bytes[at] === SPACE) at++;
  }
  return NOT_PLAIN;
}

/** @returns the position behind the last line's entry, or `NOT_PLAIN`. */
function readLines(bytes: Buffer, chunk: Chunk): number {
  // The last line may end like the others.
  const last = bytes.length - 1;
  let at = 0;
  while (chunk.count < BATCH_ENTRIES_MAX) {
    at = readEntry(bytes, at, chunk);
    if (at === NOT_PLAIN || at >= last) return at;
    if (bytes[at] === RETURN) at++;
    if (bytes[at] !== LINE_END) return NOT_PLAIN;
    if (at === last) return at;
    at++;
  }
  return NOT_PLAIN;
}

/** Appends an entry. @returns the position behind it, or `NOT_PLAIN`. */
function readEntry(bytes: Buffer, from: number, chunk: Chunk): number {
  let at = behind(NAME_FIELD, bytes, from);
  if (bytes[at] === SPACE) at++;
  if (bytes[at] !== QUOTE) return NOT_PLAIN;
  const start = at + 1;
  const end = endOfName(bytes, start);
  if (end === NOT_PLAIN) return NOT_PLAIN;
  at = end + 1;
  if (bytes[at] === CLOSE_ENTRY) {
    chunk.push(Op.add, start, end - start, 1, 0);
    return at + 1;
  }
  if (bytes[at++] !== COMMA) return NOT_PLAIN;
  if (bytes[at] === SPACE) at++;
  at = behind(BY_FIELD, bytes, at);
  if (bytes[at] === SPACE) at++;
  const isNegative = bytes[at] === DASH;
  if (isNegative) at++;
  const first = at;
  let amount = 0;
  for (; at < first + DIGITS_MAX; at++) {
    const digit = bytes[at] - ZERO;
    if (!(digit >= 0 && digit <= 9)) break;
    amount = amount * 10 + digit;
  }
  if (at === first || bytes[at] !== CLOSE_ENTRY) return NOT_PLAIN;
  if (bytes[first] === ZERO && (isNegative || at > first + 1)) return NOT_PLAIN;
  if (isNegative) amount = -amount;
  chunk.push(Op.add, start, end - start, amount | 0, Math.floor(amount / 4294967296));
  return at + 1;
}

/** @returns where the name's closing quote is, or `NOT_PLAIN`. */
function endOfName(bytes: Buffer, start: number): number {
  const limit = Math.min(bytes.length, start + NAME_BYTES_MAX + 1);
  for (let at = start; at < limit; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH || byte < SPACE) return NOT_PLAIN;
  }
  return NOT_PLAIN;
}

/** @returns the position behind `expected`, or that of no byte. */
function behind(expected: Buffer, bytes: Buffer, from: number): number {
  for (let i = 0; i < expected.length; i++) if (bytes[from + i] !== expected[i]) return bytes.length;
  return from + expected.length;
}
