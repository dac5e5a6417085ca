/**
 * Encodes replies, in RESP2 or RESP3, into one buffer that all connections share: a flush is synchronous, and
 * the kernel has usually taken the bytes when `write` returns. Only when it has not is the buffer given away
 * with them.
 */
import { formatInt64 } from '../../counter/int64.ts';
import type { Transport } from './transport.ts';

const SHARED_BYTES = 128 * 1024;
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
  #shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
  #buffer = this.#shared;
  #at = 0;

  /** Starts over. */
  begin(protocol: Protocol): void {
    this.protocol = protocol;
    this.#buffer = this.#shared;
    this.#at = 0;
  }

  get length(): number {
    return this.#at;
  }

  /** What has been written, as text, one character per byte: for tests. */
  latin1(): string {
    return this.#buffer.toString('latin1', 0, this.#at);
  }

  /** Sends everything, in one write. */
  send(transport: Transport): void {
    const written = transport.writeNow(this.#buffer, this.#at);
    if (written < this.#at) this.#queue(transport, written);
    this.begin(this.protocol);
  }

  #queue({ socket }: Transport, written: number): void {
    const bytes = this.#buffer.subarray(written, this.#at);
    if (this.#buffer !== this.#shared) {
      socket.write(bytes);
    } else if (socket.writableLength > 0) {
      // It will have to wait behind earlier replies.
      socket.write(Buffer.from(bytes));
    } else {
      socket.write(bytes);
      if (socket.writableLength > 0) this.#shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
    }
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
    this.integer(value | 0, Math.floor(value / 4294967296));
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
