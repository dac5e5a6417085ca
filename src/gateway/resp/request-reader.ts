/**
 * Reads one request from a buffer: an array of bulk strings, as clients send it, or a line, as people type it. For an
 * incomplete request the connection keeps how far it was examined (`Unfinished`). So each header is checked as soon as
 * it arrives, no matter how the request is split, and none is read again for each byte that trickles in. Errors are
 * worded as in Redis.
 */
import {
  RESP_ARGUMENT_BYTES_MAX,
  RESP_ARGUMENTS_MAX,
  RESP_COMMAND_BYTES_MAX,
  RESP_INLINE_BYTES_MAX,
  RESP_UNAUTHENTICATED_BYTES_MAX,
} from '../../counter/limits.ts';
import { splitLine } from './inline.ts';
import { type LentBytes, owned } from './lent-bytes.ts';
import { Request } from './request.ts';

const STAR = 42;
const DOLLAR = 36;
const DASH = 45;
const ZERO = 48;
const QUOTE = 39;
const DOUBLE_QUOTE = 34;
const CR = 13;
const LF = 10;
/** `*` or `$`, a number that could be in range, and some slack: a longer header is invalid. */
const HEADER_BYTES_MAX = 64;
/** The shortest argument: `$0`, an end of line, nothing, an end of line. */
const ARGUMENT_BYTES_MIN = 6;
/** What a connection that has not authenticated may send at most, as in Redis. */
const UNAUTHENTICATED_ARGUMENTS_MAX = 10;

export const Reading = {
  /** Nothing was read; see `Unfinished`. */
  incomplete: 0,
  /** `request` is filled (it has no arguments for an empty line or array) and ends at `end`. */
  whole: 1,
  /** No request can follow; see `error`. */
  broken: 2,
} as const;
export type Reading = (typeof Reading)[keyof typeof Reading];

/** How far an incomplete request was examined. */
export class Unfinished {
  /** The number of bytes from the request's start that must arrive before it is examined again. */
  bytesNeeded = 1;
  /** Where its first incomplete argument begins, from the request's start. */
  at = 0;
  /** Arguments from there on; 0: nothing was examined. */
  left = 0;

  /** Starts over, with another request. */
  clear(): void {
    this.stopAt(1, 0, 0);
  }

  stopAt(bytesNeeded: number, at: number, left: number): void {
    this.bytesNeeded = bytesNeeded;
    this.at = at;
    this.left = left;
  }
}

export class RequestReader {
  readonly request = new Request();
  /** Position behind the request. */
  end = 0;
  /** Text of the protocol error. */
  error = '';
  /** The end of the header line last read, -1 when it has not arrived. */
  #lineEnd = 0;
  /** The length of the argument last looked at. */
  #length = 0;
  /** A line that was changed by reading it, as it was; see `putBack`. */
  #line: Buffer | undefined = undefined;

  /** Reads the request that starts at `start` from `bytes[start, end)`. `unfinished` is of this request, or clear. */
  read(bytes: LentBytes, start: number, end: number, authenticated: boolean, unfinished: Unfinished): Reading {
    if (start === end) return Reading.incomplete;
    this.#line = undefined;
    this.request.begin(bytes);
    const reading =
      bytes[start] === STAR
        ? this.#readArray(bytes, start, end, authenticated, unfinished)
        : this.#readLine(bytes, start, end, authenticated ? RESP_INLINE_BYTES_MAX : RESP_UNAUTHENTICATED_BYTES_MAX);
    if (reading !== Reading.incomplete) unfinished.clear();
    else if (unfinished.bytesNeeded <= end - start) unfinished.bytesNeeded = end - start + 1;
    return reading;
  }

  /** The request just read will be read again from `start`: undoes what reading did to its bytes. */
  putBack(start: number): void {
    const { bytes } = this.request;
    this.#line?.forEach((byte, i) => {
      bytes[start + i] = byte;
    });
  }

  #readArray(bytes: LentBytes, start: number, end: number, authenticated: boolean, unfinished: Unfinished): Reading {
    const wasLookedAt = unfinished.left > 0;
    let { left } = unfinished;
    let at = start + unfinished.at;
    if (!wasLookedAt) {
      left = this.#readHeader(bytes, start, end);
      if (this.#lineEnd < 0) {
        return end - start > HEADER_BYTES_MAX ? this.#broken('too big mbulk count string') : Reading.incomplete;
      }
      if (!(left <= RESP_ARGUMENTS_MAX)) return this.#broken('invalid multibulk length');
      if (left > UNAUTHENTICATED_ARGUMENTS_MAX && !authenticated) {
        return this.#broken('unauthenticated multibulk length');
      }
      at = this.#lineEnd + 2;
    }
    const endMax = start + (authenticated ? RESP_COMMAND_BYTES_MAX : RESP_UNAUTHENTICATED_BYTES_MAX);
    for (; left > 0; left--) {
      if (at + ARGUMENT_BYTES_MIN > endMax) return this.#broken('too big request');
      const length = this.#readLength(bytes, at, end, authenticated);
      if (length === Reading.broken) return length;
      const argumentAt = this.#lineEnd + 2;
      // The next header's first byte can break the request, too.
      const behind = length === Reading.incomplete ? at : argumentAt + this.#length + 2;
      if (behind > endMax) return this.#broken('too big request');
      if (length === Reading.incomplete || behind > end) {
        unfinished.stopAt(behind - start + (left > 1 ? 1 : 0), at - start, left);
        return Reading.incomplete;
      }
      this.request.push(argumentAt, this.#length);
      at = behind;
    }
    if (!wasLookedAt) return this.#whole(at);
    // The request is complete now: the arguments that were only examined are read with the rest.
    unfinished.clear();
    return this.read(bytes, start, end, authenticated, unfinished);
  }

  #readLength(bytes: LentBytes, at: number, end: number, authenticated: boolean): Reading {
    if (at < end && bytes[at] !== DOLLAR) {
      return this.#broken(`expected '$', got '${String.fromCharCode(bytes[at])}'`);
    }
    const length = this.#readHeader(bytes, at, end);
    if (this.#lineEnd < 0) {
      return end - at > HEADER_BYTES_MAX ? this.#broken('too big bulk count string') : Reading.incomplete;
    }
    if (!(length >= 0 && length <= RESP_ARGUMENT_BYTES_MAX)) return this.#broken('invalid bulk length');
    if (length > RESP_UNAUTHENTICATED_BYTES_MAX && !authenticated) {
      return this.#broken('unauthenticated bulk length');
    }
    this.#length = length;
    return Reading.whole;
  }

  /**
   * The number between the type byte at `at` and the end of its line; NaN when it is none. Sets `#lineEnd`. Like Redis
   * it treats the byte after the carriage return as a line feed, without checking it.
   */
  #readHeader(bytes: LentBytes, at: number, end: number): number {
    const last = Math.min(end - 1, at + HEADER_BYTES_MAX);
    let lineEnd = at + 1;
    while (lineEnd < last && bytes[lineEnd] !== CR) lineEnd++;
    this.#lineEnd = lineEnd < last ? lineEnd : -1;
    if (this.#lineEnd < 0) return Number.NaN;
    const negative = bytes[at + 1] === DASH;
    const first = negative ? at + 2 : at + 1;
    const digits = lineEnd - first;
    if (digits < 1 || digits > 10 || (bytes[first] === ZERO && (digits > 1 || negative))) return Number.NaN;
    let value = 0;
    for (let i = first; i < lineEnd; i++) {
      const digit = bytes[i] - ZERO;
      if (digit < 0 || digit > 9) return Number.NaN;
      value = value * 10 + digit;
    }
    return negative ? -value : value;
  }

  #readLine(bytes: LentBytes, start: number, end: number, bytesMax: number): Reading {
    const found = bytes.indexOf(LF, start);
    const lineFeed = found < 0 ? end : Math.min(found, end);
    if (lineFeed - start > bytesMax) return this.#broken('too big inline request');
    if (lineFeed === end) return Reading.incomplete;
    const lineEnd = lineFeed > start && bytes[lineFeed - 1] === CR ? lineFeed - 1 : lineFeed;
    // Quotes and escapes are taken away in place.
    if (hasQuote(bytes, start, lineEnd)) this.#line = owned(bytes, start, lineEnd);
    if (!splitLine(this.request, start, lineEnd)) return this.#broken('unbalanced quotes in request');
    if (this.request.count > RESP_ARGUMENTS_MAX) return this.#broken('too big inline request');
    return this.#whole(lineFeed + 1);
  }

  #whole(end: number): Reading {
    this.end = end;
    return Reading.whole;
  }

  #broken(text: string): Reading {
    this.error = `ERR Protocol error: ${text}`;
    return Reading.broken;
  }
}

function hasQuote(bytes: LentBytes, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at] === QUOTE || bytes[at] === DOUBLE_QUOTE) return true;
  }
  return false;
}
