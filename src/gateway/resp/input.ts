/**
 * The received, unread input of a connection. Usually that is one buffer as the socket delivered it, read in place. A
 * buffer that is lent to the connection is returned by `keep`, before any other connection reads. Bytes are copied,
 * into a buffer of the connection's own, only if a request is split between two deliveries.
 *
 * Invariants:
 * - `bytes` changes only in `lend`, `advance`, `keep` and `release`, none of which is called between reading a request
 *   and submitting its chunk.
 */
import type { Chunk } from '../../counter/chunk.ts';
import type { LentBytes } from './lent-bytes.ts';

const EMPTY: Buffer = Buffer.alloc(0);
const OWN_BYTES_MIN = 1024;
/** The memory of a delivery besides its bytes. */
const DELIVERY_BYTES = 128;

export class Input {
  #bytes = EMPTY;
  /** Not yet read: `bytes[start, end)`. */
  start = 0;
  end = 0;
  /** `bytes` is the connection's own buffer, with room after `end`. */
  #isOwn = false;
  /** `bytes` is lent. */
  #isLent = false;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;

  get bytes(): LentBytes {
    return this.#bytes;
  }

  /** Gives the chunk its names in place; it has them until it is submitted. */
  lendNames(chunk: Chunk): void {
    chunk.names = this.#bytes;
  }

  /** Bytes that can be read now. */
  get length(): number {
    return this.end - this.start;
  }

  /** Bytes received and not yet read. */
  get unreadBytes(): number {
    return this.length + this.#waitingBytes;
  }

  /** Deliveries that have not been read. */
  get deliveries(): number {
    return this.#waiting.length;
  }

  /** Memory that is held, in bytes. */
  get heldBytes(): number {
    return this.#bytes.length + this.#waitingBytes + this.#waiting.length * DELIVERY_BYTES;
  }

  /** Takes ownership of bytes. */
  receive(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  /** Takes `bytes[0, length)` until `keep`, to be read at once. */
  lend(bytes: Buffer, length: number): void {
    if (this.unreadBytes > 0) {
      this.receive(Buffer.from(bytes.subarray(0, length)));
      return;
    }
    this.#bytes = bytes;
    this.start = 0;
    this.end = length;
    this.#isOwn = false;
    this.#isLent = true;
  }

  /** Returns a lent buffer; its unread part is copied. */
  keep(): void {
    if (!this.#isLent) return;
    this.#isLent = false;
    if (this.length > 0) this.#append();
    else this.release();
  }

  /** Makes the received bytes readable. */
  advance(): void {
    if (this.#waiting.length === 0) return;
    if (this.length === 0 && this.#waiting.length === 1) {
      this.#bytes = this.#waiting[0];
      this.start = 0;
      this.end = this.#bytes.length;
      this.#isOwn = false;
    } else {
      this.#append();
    }
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  /** Releases a buffer that has been read completely. */
  release(): void {
    if (this.length > 0) return;
    this.#bytes = EMPTY;
    this.start = 0;
    this.end = 0;
    this.#isOwn = false;
  }

  #append(): void {
    const { length } = this;
    const needed = length + this.#waitingBytes;
    if (!this.#isOwn || this.#bytes.length - this.end < this.#waitingBytes) {
      if (this.#isOwn && this.#bytes.length >= needed) {
        this.#bytes.copyWithin(0, this.start, this.end);
      } else {
        // Twice what is needed: bytes that trickle in are then copied a few times, not once per delivery.
        const larger = Buffer.allocUnsafeSlow(Math.max(needed * 2, OWN_BYTES_MIN));
        this.#bytes.copy(larger, 0, this.start, this.end);
        this.#bytes = larger;
        this.#isOwn = true;
      }
      this.start = 0;
      this.end = length;
    }
    for (const bytes of this.#waiting) {
      this.#bytes.set(bytes, this.end);
      this.end += bytes.length;
    }
  }
}
