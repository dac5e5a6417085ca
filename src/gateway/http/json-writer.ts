/**
 * Writes the answer to a batch as bytes, straight from a chunk's columns: thousands of small strings would cost
 * more than the counting.
 */
import { formatInt64 } from '../../counter/int64.ts';

const QUOTE = 34;
const BACKSLASH = 92;
const SPACE = 32;
/** The longest decimal text of a count. */
const COUNT_BYTES_MAX = 20;

/** A piece of JSON that is always the same. */
export function fragment(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export class JsonWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  fragment(piece: Uint8Array): void {
    this.#reserve(piece.length);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = 0; i < piece.length; i++) bytes[at++] = piece[i];
    this.#length = at;
  }

  /** Text that is JSON already. */
  text(json: string): void {
    this.#reserve(json.length * 3);
    this.#length += this.#bytes.write(json, this.#length, 'utf8');
  }

  /** The UTF-8 in `source[start, start + length)` as a JSON string. */
  quoted(source: Uint8Array, start: number, length: number): void {
    this.#reserve(length + 2);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = QUOTE;
    for (let i = start; i < start + length; i++) {
      const byte = source[i];
      if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) {
        this.text(JSON.stringify(Buffer.from(source.subarray(start, start + length)).toString('utf8')));
        return;
      }
      bytes[at++] = byte;
    }
    bytes[at++] = QUOTE;
    this.#length = at;
  }

  /** A count; its lane pair begins at `at`. */
  count(lanes: Int32Array, at: number, asString: boolean): void {
    this.#reserve(COUNT_BYTES_MAX + 2);
    if (asString) this.#bytes[this.#length++] = QUOTE;
    this.#length = formatInt64(lanes[at], lanes[at + 1], this.#bytes, this.#length);
    if (asString) this.#bytes[this.#length++] = QUOTE;
  }

  /** What was written. The writer is done with. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
