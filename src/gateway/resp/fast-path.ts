/**
 * The requests that a counter server gets most, in the form that clients send them: INCR, DECR and GET with a name,
 * INCRBY and DECRBY with a name and an amount, as arrays. Read without making a string or an object; any request that
 * differs is left to the general reader.
 */
import { type Chunk, Op } from '../../counter/chunk.ts';
import { negateInt64, parseInt64 } from '../../counter/int64.ts';
import { CHUNK_COMMANDS_MAX } from '../../counter/limits.ts';
import { readReply } from './commands/values.ts';
import type { LentBytes } from './lent-bytes.ts';
import { type Replies, valueReply } from './replies.ts';

const STAR = 42;
const DOLLAR = 36;
const ZERO = 48;
const CR = 13;
const LF = 10;
/** Sets the bit that makes an ASCII letter lower case. */
const LOWER = 0x20202020;

const INCR = word('incr');
const DECR = word('decr');
const BY = word('by\r\n');
const GET = word('get\r');
/** `$3`, `$4` and `$6` with their line ends: the lengths of the commands. */
const LENGTH_3 = word('$3\r\n');
const LENGTH_4 = word('$4\r\n');
const LENGTH_6 = word('$6\r\n');
const TWO_ARGUMENTS = word('*2\r\n');
const THREE_ARGUMENTS = word('*3\r\n');
/** `*2 $3 GET $1 k`, with all line ends. */
const SHORTEST_BYTES = 20;

/** `$1 k`, with its line ends. */
const ARGUMENT_BYTES_MIN = 7;

const amount = new Int32Array(2);

/**
 * Reads requests from `bytes[start, end)` until one is none of these, or not whole, or the chunk is full.
 * @returns the position of the first byte not read.
 */
export function readSimpleRequests(
  bytes: LentBytes,
  start: number,
  end: number,
  chunk: Chunk,
  replies: Replies,
): number {
  let at = start;
  while (end - at >= SHORTEST_BYTES && bytes[at] === STAR && chunk.count < CHUNK_COMMANDS_MAX) {
    const behind = readOne(bytes, at, end, chunk, replies);
    if (behind === at) break;
    at = behind;
  }
  return at;
}

/** @returns `at` when the request is none of these. */
function readOne(bytes: LentBytes, at: number, end: number, chunk: Chunk, replies: Replies): number {
  const count = wordAt(bytes, at);
  const length = wordAt(bytes, at + 4);
  const name = wordAt(bytes, at + 8) | LOWER;
  if (count === TWO_ARGUMENTS && length === LENGTH_4 && (name === INCR || name === DECR)) {
    if (bytes[at + 12] !== CR) return at;
    const behind = readName(bytes, at + 14, end);
    if (behind < 0) return at;
    const one = name === INCR ? 1 : -1;
    chunk.push(Op.add, behind - 2 - nameLength, nameLength, one, one >> 1);
    replies.add(valueReply, 1);
    return behind;
  }
  if (count === TWO_ARGUMENTS && length === LENGTH_3 && name === (GET | LOWER) && bytes[at + 11] === CR) {
    const behind = readName(bytes, at + 13, end);
    if (behind < 0) return at;
    chunk.push(Op.get, behind - 2 - nameLength, nameLength, 0, 0);
    replies.add(readReply, 1);
    return behind;
  }
  if (count === THREE_ARGUMENTS && length === LENGTH_6 && (name === INCR || name === DECR)) {
    if ((wordAt(bytes, at + 12) | LOWER) !== (BY | LOWER) || bytes[at + 14] !== CR) return at;
    return readBy(bytes, at, end, name === DECR, chunk, replies);
  }
  return at;
}

function readBy(
  bytes: LentBytes,
  at: number,
  end: number,
  isNegative: boolean,
  chunk: Chunk,
  replies: Replies,
): number {
  const nameEnd = readName(bytes, at + 16, end);
  if (nameEnd < 0) return at;
  const length = nameLength;
  const behind = readName(bytes, nameEnd, end);
  if (behind < 0) return at;
  if (!parseInt64(bytes, behind - 2 - nameLength, behind - 2, amount, 0)) return at;
  if (isNegative && !negateInt64(amount, 0)) return at;
  chunk.push(Op.add, nameEnd - 2 - length, length, amount[0], amount[1]);
  replies.add(valueReply, 1);
  return behind;
}

/** The length of the argument that `readName` read last. */
let nameLength = 0;

/** Reads an argument of 1 to 999 bytes. @returns the position behind it, or -1. */
function readName(bytes: LentBytes, at: number, end: number): number {
  if (end - at < ARGUMENT_BYTES_MIN || bytes[at] !== DOLLAR) return -1;
  let length = bytes[at + 1] - ZERO;
  if (!(length >= 1 && length <= 9)) return -1;
  let i = at + 2;
  for (; bytes[i] !== CR; i++) {
    const digit = bytes[i] - ZERO;
    if (!(digit >= 0 && digit <= 9) || i > at + 3) return -1;
    length = length * 10 + digit;
  }
  const behind = i + 2 + length + 2;
  if (behind > end || bytes[i + 1] !== LF) return -1;
  nameLength = length;
  return behind;
}

/** Four bytes as one integer. */
function wordAt(bytes: LentBytes, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

function word(text: string): number {
  return wordAt(Buffer.from(text), 0);
}
