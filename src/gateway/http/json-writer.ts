/**
 * Writes JSON as bytes, for the answers to batches, straight from a chunk's columns: thousands of small strings would
 * cost more than the counting. The functions here do not check for room: it is reserved for many pieces at once.
 */
import { formatInt64 } from '../../counter/int64.ts';
import { viewOf } from '../../std/columns.ts';

const QUOTE = 34;
const BACKSLASH = 92;
const SPACE = 32;
/** The longest decimal text of a count, in quotes. */
export const COUNT_BYTES_MAX = 22;
/** A control character becomes `\u0000`. */
const ESCAPED_BYTES_MAX = 6;
/** A UTF-16 unit as UTF-8. */
const UNIT_BYTES_MAX = 3;
const WORD_BYTES = 4;

/** A piece of JSON that is always the same, cut into little-endian words: these are copied faster than bytes. */
export interface Fragment {
  readonly words: Int32Array;
  readonly length: number;
}

export function fragment(text: string): Fragment {
  const { length } = Buffer.from(text);
  const padded = new DataView(new ArrayBuffer(Math.ceil(length / WORD_BYTES) * WORD_BYTES));
  Buffer.from(padded.buffer).write(text);
  const words = Int32Array.from({ length: padded.byteLength / WORD_BYTES }, (_, i) => padded.getInt32(4 * i, true));
  return { words, length };
}

/** How long a name of so many bytes can become as a JSON string. */
export function quotedBytesMax(length: number): number {
  return length * ESCAPED_BYTES_MAX + 2;
}

/** A buffer for an answer. */
export class JsonBytes {
  bytes: Buffer = Buffer.allocUnsafeSlow(0);
  /** Of `bytes`. */
  view = viewOf(this.bytes);
  /** What is written. */
  length = 0;

  /** Reserves room for this many more bytes, plus a word that may be written only in part. */
  reserve(more: number): void {
    const needed = this.length + more + WORD_BYTES;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
    this.view = viewOf(larger);
  }

  /** Appends text that is already JSON, and reserves its own room. */
  text(json: string): void {
    this.reserve(json.length * UNIT_BYTES_MAX);
    this.length += this.bytes.write(json, this.length, 'utf8');
  }

  /** What is written: a part of `bytes`. */
  get written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

/** @returns the position after it. Up to three bytes there are also written; later output overwrites them. */
export function writeFragment({ words, length }: Fragment, view: DataView, at: number): number {
  for (let i = 0; i < words.length; i++) view.setInt32(at + WORD_BYTES * i, words[i], true);
  return at + length;
}

/** Writes the UTF-8 in `source[start, start + length)` as a JSON string. @returns the position behind it. */
export function writeQuoted(source: Uint8Array, start: number, length: number, bytes: Buffer, at: number): number {
  bytes[at] = QUOTE;
  for (let i = 0; i < length; i++) {
    const byte = source[start + i];
    if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) {
      const name = Buffer.from(source.subarray(start, start + length)).toString('utf8');
      return at + bytes.write(JSON.stringify(name), at, 'utf8');
    }
    bytes[at + 1 + i] = byte;
  }
  bytes[at + 1 + length] = QUOTE;
  return at + 2 + length;
}

/** Writes the count in the lane pair at `pair`. @returns the position behind it. */
export function writeCount(lanes: Int32Array, pair: number, asString: boolean, bytes: Buffer, at: number): number {
  if (!asString) return formatInt64(lanes[pair], lanes[pair + 1], bytes, at);
  bytes[at] = QUOTE;
  const end = formatInt64(lanes[pair], lanes[pair + 1], bytes, at + 1);
  bytes[end] = QUOTE;
  return end + 1;
}
