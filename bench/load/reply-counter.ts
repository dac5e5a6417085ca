/**
 * Counts complete replies in a stream of bytes, and keeps the first error: RESP and HTTP. What the replies say in
 * detail does not matter here; whether everything was counted shows in the stored sum.
 */

const LINE_FEED = 10;
const DOLLAR = 36;
const STAR = 42;
const PLUS = 43;
const MINUS = 45;
const COLON = 58;
const ERROR_CHARACTERS_MAX = 200;
const HEAD_BYTES_MAX = 4096;

export interface ReplyCounter {
  /** The first error reply, or what was no reply at all. */
  readonly error: string | undefined;
  /** @returns how many replies were completed by `bytes[0, end)`. */
  feed(bytes: Buffer, end: number): number;
}

export type Protocol = 'resp' | 'http';

export function openReplyCounter(protocol: Protocol): ReplyCounter {
  return protocol === 'resp' ? new RespReplyCounter() : new HttpReplyCounter();
}

/** It runs on every byte that a server answers, so it looks at each one once and makes no strings. */
export class RespReplyCounter implements ReplyCounter {
  error: string | undefined = undefined;
  /** Of the line under way; 0 between lines. */
  #type = 0;
  #number = 0;
  #negative = false;
  /** Bytes of a bulk string that are still to come, its CRLF included. */
  #bulkBytes = 0;
  /** Elements of an array that are still to come. */
  #elements = 0;

  feed(bytes: Buffer, end: number): number {
    let completed = 0;
    let i = 0;
    while (i < end) {
      if (this.#bulkBytes > 0) {
        const taken = Math.min(this.#bulkBytes, end - i);
        this.#bulkBytes -= taken;
        i += taken;
        if (this.#bulkBytes === 0) completed += this.#element();
        continue;
      }
      if (this.#type === 0) this.#begin(bytes[i++]);
      if (this.#type === COLON || this.#type === PLUS) {
        while (i < end && bytes[i] !== LINE_FEED) i++;
      } else {
        i = this.#readLine(bytes, i, end);
      }
      if (i < end) {
        i++;
        completed += this.#endLine();
      }
    }
    return completed;
  }

  #begin(type: number): void {
    this.#type = type;
    this.#number = 0;
    this.#negative = false;
    if (type === COLON || type === PLUS || type === DOLLAR || type === STAR) return;
    this.error ??= type === MINUS ? '-' : `no reply: ${String.fromCharCode(type)}`;
  }

  /** @returns where the line feed is, or `end`. */
  #readLine(bytes: Uint8Array, from: number, end: number): number {
    let i = from;
    for (; i < end && bytes[i] !== LINE_FEED; i++) {
      const byte = bytes[i];
      if (this.#type !== DOLLAR && this.#type !== STAR) this.#keepError(byte);
      else if (byte === MINUS) this.#negative = true;
      else if (byte >= 48 && byte <= 57) this.#number = this.#number * 10 + byte - 48;
    }
    return i;
  }

  #keepError(byte: number): void {
    if (this.error !== undefined && this.error.length < ERROR_CHARACTERS_MAX) this.error += String.fromCharCode(byte);
  }

  #endLine(): number {
    const type = this.#type;
    this.#type = 0;
    if (type === DOLLAR && !this.#negative) {
      this.#bulkBytes = this.#number + 2;
      return 0;
    }
    if (type === STAR && !this.#negative && this.#number > 0) {
      this.#elements = this.#number;
      return 0;
    }
    return this.#element();
  }

  #element(): number {
    if (this.#elements === 0) return 1;
    this.#elements -= 1;
    return this.#elements === 0 ? 1 : 0;
  }
}

/** Answers with a Content-Length only: what servers send when they know what they say. */
export class HttpReplyCounter implements ReplyCounter {
  error: string | undefined = undefined;
  #head = '';
  #bodyBytes = 0;

  feed(bytes: Buffer, end: number): number {
    let completed = 0;
    let i = 0;
    while (i < end) {
      if (this.#bodyBytes > 0) {
        const taken = Math.min(this.#bodyBytes, end - i);
        this.#bodyBytes -= taken;
        i += taken;
      } else {
        i += this.#readHead(bytes, i, end);
        if (this.#head !== '') break;
      }
      if (this.#bodyBytes === 0) completed += 1;
    }
    return completed;
  }

  /** @returns how many bytes belong to the head; it stays in `#head` while it is not complete. */
  #readHead(bytes: Buffer, from: number, end: number): number {
    const before = this.#head.length;
    const head = this.#head + bytes.toString('latin1', from, Math.min(end, from + HEAD_BYTES_MAX));
    const headEnd = head.indexOf('\r\n\r\n');
    if (headEnd === -1) {
      this.#head = head;
      if (head.length >= HEAD_BYTES_MAX) this.error ??= 'a head without an end';
      return end - from;
    }
    this.#head = '';
    this.#bodyBytes = Number(/\r\ncontent-length: *(\d+)/i.exec(head.slice(0, headEnd))?.[1] ?? Number.NaN);
    if (!head.startsWith('HTTP/1.1 200 ') || Number.isNaN(this.#bodyBytes)) {
      this.error ??= head.slice(0, ERROR_CHARACTERS_MAX);
      this.#bodyBytes = 0;
    }
    return headEnd + 4 - before;
  }
}
