/**
 * Splits a line that a person typed into arguments, with the quotes and escapes of Redis: "a\n\x00" with
 * escapes, 'a\'b' with only the quote escaped, and quotes may begin in the middle of a word.
 */
import type { LentBytes } from './lent-bytes.ts';
import type { Request } from './request.ts';

const DOUBLE_QUOTE = 34;
const QUOTE = 39;
const BACKSLASH = 92;
const LETTER_X = 120;
const ESCAPES: Readonly<Record<number, number>> = { 110: 10, 114: 13, 116: 9, 98: 8, 97: 7 };

/**
 * Pushes the arguments of the line `[start, end)` of the request's buffer, unescaped in place: an argument is
 * never longer than what was typed for it.
 * @returns false when quotes are unbalanced.
 */
export function splitLine(request: Request, start: number, end: number): boolean {
  const { bytes } = request;
  const lineEnd = endOfText(bytes, start, end);
  let at = start;
  for (;;) {
    while (at < lineEnd && isSpace(bytes[at])) at++;
    if (at >= lineEnd) return true;
    const from = at;
    let out = at;
    while (at < lineEnd && !endsWord(bytes[at])) {
      const byte = bytes[at++];
      if (byte !== DOUBLE_QUOTE && byte !== QUOTE) {
        bytes[out++] = byte;
        continue;
      }
      const quoted =
        byte === DOUBLE_QUOTE ? readDoubleQuoted(bytes, at, lineEnd, out) : readQuoted(bytes, at, lineEnd, out);
      if (quoted === undefined) return false;
      out = quoted.out;
      at = quoted.at;
      // A closing quote ends the word, and nothing may stick to it.
      if (at < lineEnd && !isSpace(bytes[at])) return false;
      break;
    }
    request.push(from, out - from);
  }
}

/** A NUL ends the line, as it does in Redis. */
function endOfText(bytes: LentBytes, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== 0) at++;
  return at;
}

interface Quoted {
  /** Behind the closing quote. */
  readonly at: number;
  /** Behind the last byte written. */
  readonly out: number;
}

function readDoubleQuoted(bytes: LentBytes, from: number, end: number, to: number): Quoted | undefined {
  let out = to;
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (byte === DOUBLE_QUOTE) return { at: at + 1, out };
    if (byte !== BACKSLASH || at + 1 >= end) {
      bytes[out++] = byte;
      continue;
    }
    const escaped = bytes[++at];
    const high = at + 2 < end ? hexDigit(bytes[at + 1]) : -1;
    const low = at + 2 < end ? hexDigit(bytes[at + 2]) : -1;
    if (escaped === LETTER_X && high >= 0 && low >= 0) {
      bytes[out++] = high * 16 + low;
      at += 2;
    } else {
      bytes[out++] = ESCAPES[escaped] ?? escaped;
    }
  }
  return undefined;
}

function readQuoted(bytes: LentBytes, from: number, end: number, to: number): Quoted | undefined {
  let out = to;
  for (let at = from; at < end; at++) {
    if (bytes[at] === QUOTE) return { at: at + 1, out };
    if (bytes[at] === BACKSLASH && at + 1 < end && bytes[at + 1] === QUOTE) at++;
    bytes[out++] = bytes[at];
  }
  return undefined;
}

/** What C's isspace says in the C locale. */
function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

function endsWord(byte: number): boolean {
  return byte === 32 || byte === 9 || byte === 10 || byte === 13;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
