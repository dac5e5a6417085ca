/**
 * Reads the batches that nearly everybody sends, entries of a name and a small amount, as a JSON array or as lines,
 * straight from the body's bytes into a chunk: no string, no object, and the names stay where they lie.
 *
 * A body that differs in anything (another field or order, an escape in a name, a count of 16 digits or in quotes,
 * more white space than a space behind a colon or a comma) is left as a whole to the general parser
 * (`batch-body.ts`).
 */
import { isUtf8 } from 'node:buffer';
import { type Chunk, Op } from '../../counter/chunk.ts';
import { highLane } from '../../counter/int64.ts';
import { BATCH_ENTRIES_MAX, NAME_BYTES_MAX } from '../../counter/limits.ts';
import {
  amountAt,
  behind,
  behindSpace,
  CLOSE_OBJECT,
  COMMA,
  endOfAmount,
  NOT_PLAIN,
  QUOTE,
  SPACE,
} from './plain-json.ts';

const LINE_END = 10;
const RETURN = 13;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const NAME_FIELD = Buffer.from('{"name":');
const BY_FIELD = Buffer.from('"by":');

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
    at = behindSpace(bytes, at);
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
  const quote = behindSpace(bytes, behind(NAME_FIELD, bytes, from));
  if (bytes[quote] !== QUOTE) return NOT_PLAIN;
  const start = quote + 1;
  const end = endOfName(bytes, start);
  if (end === NOT_PLAIN) return NOT_PLAIN;
  const behindName = end + 1;
  if (bytes[behindName] === CLOSE_OBJECT) {
    chunk.push(Op.add, start, end - start, 1, 0);
    return behindName + 1;
  }
  if (bytes[behindName] !== COMMA) return NOT_PLAIN;
  const digits = behindSpace(bytes, behind(BY_FIELD, bytes, behindSpace(bytes, behindName + 1)));
  const close = endOfAmount(bytes, digits);
  if (bytes[close] !== CLOSE_OBJECT) return NOT_PLAIN;
  const amount = amountAt(bytes, digits, close);
  chunk.push(Op.add, start, end - start, amount | 0, highLane(amount));
  return close + 1;
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
