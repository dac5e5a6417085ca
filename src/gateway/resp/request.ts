/**
 * One request as positions in the buffer that it arrived in: no argument is copied and no string is made until
 * a command asks for one.
 */
import { parseInt64, readInt64 } from '../../counter/int64.ts';
import { grown } from '../../std/columns.ts';
import { type LentBytes, owned } from './lent-bytes.ts';

const EMPTY = Buffer.alloc(0);
const lanes = new Int32Array(2);

export class Request {
  /** Where the arguments lie. */
  bytes: LentBytes = EMPTY;
  /** Arguments, the command's name included. */
  count = 0;
  starts = new Int32Array(16);
  lengths = new Int32Array(16);

  /** Starts over, with the arguments of a new request in `bytes`. */
  begin(bytes: LentBytes): void {
    this.bytes = bytes;
    this.count = 0;
  }

  push(start: number, length: number): void {
    if (this.count === this.starts.length) {
      this.starts = grown(this.starts, new Int32Array(this.count * 4));
      this.lengths = grown(this.lengths, new Int32Array(this.count * 4));
    }
    this.starts[this.count] = start;
    this.lengths[this.count++] = length;
  }

  /** A copy of the bytes of argument `i`. */
  copy(i: number): Buffer {
    return owned(this.bytes, this.starts[i], this.starts[i] + this.lengths[i]);
  }

  /** Argument `i` with one character per byte, so that an error can repeat it unchanged. */
  latin1(i: number): string {
    return this.bytes.toString('latin1', this.starts[i], this.starts[i] + this.lengths[i]);
  }

  /** Argument `i` as UTF-8. */
  text(i: number): string {
    return this.bytes.toString('utf8', this.starts[i], this.starts[i] + this.lengths[i]);
  }

  /** Argument `i` in lower case, for names of commands and options; longer than any of them: ''. */
  word(i: number): string {
    return this.lengths[i] > 64 ? '' : this.latin1(i).toLowerCase();
  }

  /** Argument `i` as a signed 64-bit integer, or undefined when it is not one. */
  integer(i: number): bigint | undefined {
    return this.#parse(i) ? readInt64(lanes, 0) : undefined;
  }

  /** Parses argument `i` into the lane pair `out[at]`. @returns false when it is not a 64-bit integer. */
  lanes(i: number, out: Int32Array, at: number): boolean {
    if (!this.#parse(i)) return false;
    out[at] = lanes[0];
    out[at + 1] = lanes[1];
    return true;
  }

  #parse(i: number): boolean {
    return parseInt64(this.bytes, this.starts[i], this.starts[i] + this.lengths[i], lanes, 0);
  }
}
