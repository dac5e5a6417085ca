/**
 * Answers the requests of one plain connection, byte for byte as Fastify and Node would
 * (`plain-increment.test.ts` compares them).
 */
import type { Socket } from 'node:net';
import { HEADERS_OF_ALL } from './guard.ts';
import type { Reply } from './reply.ts';

// An `import` of this module makes Node load its `fetch` as well: a tenth of the time until the server is ready.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** Headers of every answer, as their text. */
const FIRST_HEADERS = Object.entries(HEADERS_OF_ALL)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('');

export class PlainReply implements Reply {
  readonly raw: Socket;
  readonly request: Reply['request'];
  /** No request waits for an answer. */
  sent = true;
  readonly #keepAlive: string;
  readonly #onSent: (isLast: boolean) => void;
  #status = 200;
  #headers = '';
  #isLast = false;

  /** @param onSent told after each answer, and whether the connection ends with it. */
  constructor(socket: Socket, keepAliveTimeoutMs: number, onSent: (isLast: boolean) => void) {
    this.raw = socket;
    this.request = { raw: { socket } };
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n`;
    this.#onSent = onSent;
  }

  /** A request waits for its answer. */
  begin(): void {
    this.sent = false;
    this.#status = 200;
    this.#headers = FIRST_HEADERS;
    this.#isLast = false;
  }

  code(status: number): this {
    this.#status = status;
    return this;
  }

  /** Each header once. */
  header(name: string, value: string): this {
    if (name === 'connection') this.#isLast = value === 'close';
    this.#headers += `${name}: ${value}\r\n`;
    return this;
  }

  send(body: string | Buffer): void {
    this.sent = true;
    const text = String(body);
    const length = Buffer.byteLength(text);
    const head =
      `HTTP/1.1 ${this.#status} ${STATUS_CODES[this.#status]}\r\n${this.#headers}content-length: ${length}\r\n` +
      `Date: ${dateText()}\r\n${this.#isLast ? '' : this.#keepAlive}\r\n`;
    if (this.raw.writable) this.raw.write(head + text, length === text.length ? 'latin1' : 'utf8');
    this.#onSent(this.#isLast);
  }
}

let dateSecond = 0;
let date = '';

/** The time for a `Date` header, which tells whole seconds: made once for each. */
function dateText(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = new Date(second * 1000).toUTCString();
  }
  return date;
}
