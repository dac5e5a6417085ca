/**
 * Where requests end in what a connection delivers, so that Node's parser can be given one at a time. Nothing is
 * decided here: bytes are only cut into pieces, and what they mean is the parser's to say. No piece has bytes of two
 * requests.
 */
import type { IncomingMessage } from 'node:http';

const LINE_END = 10;
const RETURN = 13;
/** Longer sizes of chunks are refused by the parser. */
const SIZE_DIGITS_MAX = 32;

export class Boundaries {
  /**
   * What follows: a head or trailer fields, to the next empty line; a chunk's size; or neither before `#plainBytes` are
   * over.
   */
  #expects: 'head' | 'size' = 'head';
  /** Nothing of the current line has come yet. */
  #isLineEmpty = true;
  /** Bytes of a body in which nothing ends. */
  #plainBytes = 0;
  /** The part of a chunk's size that has come. */
  #size = '';

  /** Node has read a head: what follows is the body. */
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
    // Behind a chunk comes an empty line, which is no size.
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
