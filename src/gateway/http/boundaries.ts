/**
 * Finds where requests end in a connection's input, so that Node's parser gets one at a time. Nothing is decided here:
 * bytes are only split into pieces, and the parser interprets them. No piece has bytes of two requests.
 */
import type { IncomingMessage } from 'node:http';

const LINE_END = 10;
const RETURN = 13;
/** The parser refuses longer chunk sizes. */
const SIZE_DIGITS_MAX = 32;

export class Boundaries {
  /**
   * What follows: a head or trailer fields, to the next empty line; a chunk's size; or neither until `#plainBytes` are
   * passed.
   */
  #expects: 'head' | 'size' = 'head';
  /** The current line is empty so far. */
  #isLineEmpty = true;
  /** Remaining body bytes without a boundary. */
  #plainBytes = 0;
  /** The received part of a chunk's size. */
  #size = '';

  /** Node has read a head: the body follows. */
  begin({ headers }: IncomingMessage): void {
    if (headers['transfer-encoding'] !== undefined) this.#expects = 'size';
    else this.#plainBytes = Number(headers['content-length'] ?? 0);
  }

  /** @returns the end of the next piece: that of a head or of a request, or of the bytes. */
  next(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length) {
      if (this.#plainBytes > 0) {
        const skipped = Math.min(this.#plainBytes, bytes.length - at);
        this.#plainBytes -= skipped;
        at += skipped;
        if (this.#plainBytes === 0 && this.#expects === 'head') return at;
      } else if (this.#expects === 'size') {
        at = this.#readSize(bytes, at);
      } else {
        return this.#emptyLineEnd(bytes, at);
      }
    }
    return at;
  }

  #readSize(bytes: Buffer, from: number): number {
    const lineEnd = bytes.indexOf(LINE_END, from);
    const end = lineEnd < 0 ? bytes.length : lineEnd;
    const size = this.#size + bytes.toString('latin1', from, Math.min(end, from + SIZE_DIGITS_MAX));
    this.#size = size.slice(0, SIZE_DIGITS_MAX);
    if (lineEnd < 0) return end;
    const length = Number.parseInt(this.#size, 16);
    this.#size = '';
    // After a chunk comes an empty line, which is not a size.
    if (length > 0) this.#plainBytes = length;
    else if (length === 0) this.#expects = 'head';
    return end + 1;
  }

  #emptyLineEnd(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; ) {
      const lineEnd = bytes.indexOf(LINE_END, at);
      const end = lineEnd < 0 ? bytes.length : lineEnd;
      const isEmpty = end === at || (end === at + 1 && bytes[at] === RETURN);
      const wasEmpty = this.#isLineEmpty && isEmpty;
      this.#isLineEmpty = lineEnd >= 0 || wasEmpty;
      if (lineEnd < 0) break;
      at = end + 1;
      if (wasEmpty) return at;
    }
    return bytes.length;
  }
}
