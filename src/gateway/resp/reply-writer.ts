/**
 * Encodes replies, in RESP2 or RESP3, into one buffer that all connections share. They leave together when the pending
 * input has been handled (as in Redis): writing to a client that is already awake is cheaper than waking it with each
 * write. The kernel has usually taken the bytes when a write returns; only the rest is copied.
 */
import { formatInt64, highLane } from '../../counter/int64.ts';
import type { Transport } from './transport.ts';

const SHARED_BYTES = 256 * 1024;
/** At this many bytes the replies are sent without waiting for more. */
const FLUSH_BYTES = 128 * 1024;
/** The longest reply of one number: type byte, length, two line ends, 20 digits. */
const NUMBER_BYTES_MAX = 32;

const COLON = 58;
const DOLLAR = 36;
const ZERO = 48;
const CR = 13;
const LF = 10;

export type Protocol = 2 | 3;

export class ReplyWriter {
  protocol: Protocol = 2;
  readonly #shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
  #buffer = this.#shared;
  /** Where the replies that are being written begin; before it lie those that wait to be sent. */
  #start = 0;
  #at = 0;
  /** The recipients of the bytes before `#start`, in order, and where each part ends. */
  readonly #waiting: Transport[] = [];
  readonly #ends: number[] = [];
  #isDue = false;

  /** Starts replies for a connection. */
  begin(protocol: Protocol): void {
    this.protocol = protocol;
    this.#at = this.#start;
  }

  /** What has been written since `begin`, as text, one character per byte: for tests. */
  latin1(): string {
    return this.#buffer.toString('latin1', this.#start, this.#at);
  }

  /** Sends what has been written since `begin`, soon. */
  send(transport: Transport): void {
    if (this.#at === this.#start) return;
    this.#waiting.push(transport);
    this.#ends.push(this.#at);
    this.#start = this.#at;
    if (this.#start >= FLUSH_BYTES) {
      this.flush();
    } else if (!this.#isDue) {
      this.#isDue = true;
      setImmediate(() => {
        this.#isDue = false;
        this.flush();
      });
    }
  }

  /** Sends everything now: before a connection ends. */
  flush(): void {
    let from = 0;
    for (let i = 0; i < this.#waiting.length; i++) {
      const to = this.#ends[i];
      const transport = this.#waiting[i];
      const taken = from + transport.writeNow(this.#buffer, from, to);
      if (taken < to) transport.socket.write(Buffer.from(this.#buffer.subarray(taken, to)));
      from = to;
    }
    this.#waiting.length = 0;
    this.#ends.length = 0;
    this.#buffer = this.#shared;
    this.#start = 0;
    this.#at = 0;
  }

  /** `:N`, from a lane pair. */
  integer(low: number, high: number): void {
    this.#reserve(NUMBER_BYTES_MAX);
    const buffer = this.#buffer;
    buffer[this.#at] = COLON;
    this.#endLine(formatInt64(low, high, buffer, this.#at + 1));
  }

  /** `:N`, from a safe integer. */
  number(value: number): void {
    this.integer(value | 0, highLane(value));
  }

  /** The decimal text of a lane pair as a bulk string. */
  decimal(low: number, high: number): void {
    this.#reserve(NUMBER_BYTES_MAX);
    const buffer = this.#buffer;
    // The digits first, where they lie when there are less than ten of them.
    const digitsAt = this.#at + 4;
    let end = formatInt64(low, high, buffer, digitsAt);
    const digits = end - digitsAt;
    buffer[this.#at] = DOLLAR;
    let at = this.#at + 1;
    if (digits > 9) {
      buffer.copyWithin(digitsAt + 1, digitsAt, end++);
      buffer[at++] = ZERO + Math.floor(digits / 10);
    }
    buffer[at] = ZERO + (digits % 10);
    buffer[at + 1] = CR;
    buffer[at + 2] = LF;
    this.#endLine(end);
  }

  /** A bulk string; text is written as UTF-8. */
  bulk(value: Buffer | string): void {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    this.raw(`$${bytes.length}\r\n`);
    this.#reserve(bytes.length + 2);
    this.#buffer.set(bytes, this.#at);
    this.#endLine(this.#at + bytes.length);
  }

  /** Text for people: a verbatim string in RESP3, a bulk string in RESP2. */
  verbatim(text: string): void {
    if (this.protocol === 2) this.bulk(text);
    else this.raw(Buffer.from(`=${Buffer.byteLength(text) + 4}\r\ntxt:${text}\r\n`));
  }

  /** No value, where a single one would be. */
  null(): void {
    this.raw(this.protocol === 2 ? '$-1\r\n' : '_\r\n');
  }

  /** No value, where an array would be. */
  nullArray(): void {
    this.raw(this.protocol === 2 ? '*-1\r\n' : '_\r\n');
  }

  /** Announces `length` replies. */
  array(length: number): void {
    this.raw(`*${length}\r\n`);
  }

  /** Announces `length` different replies. */
  set(length: number): void {
    this.raw(`${this.protocol === 2 ? '*' : '~'}${length}\r\n`);
  }

  /** Announces `length` pairs of replies. */
  map(length: number): void {
    this.raw(this.protocol === 2 ? `*${length * 2}\r\n` : `%${length}\r\n`);
  }

  simple(text: string): void {
    this.raw(`+${text}\r\n`);
  }

  /** An error, its code word first. One character is one byte; ends of line become blanks. */
  error(text: string): void {
    this.raw(`-${text.replace(/[\r\n]+$/, '').replace(/[\r\n]/g, ' ')}\r\n`);
  }

  /** Bytes as they are; text with one byte per character. */
  raw(value: Buffer | string): void {
    this.#reserve(value.length);
    if (typeof value === 'string') this.#buffer.write(value, this.#at, 'latin1');
    else this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  #endLine(at: number): void {
    this.#buffer[at] = CR;
    this.#buffer[at + 1] = LF;
    this.#at = at + 2;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
  }
}
