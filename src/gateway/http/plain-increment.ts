/**
 * Reads the increments that nearly everybody sends, `POST /v1/counters/{name}/increment` with `{"by": N}`, `{}` or no
 * body, straight from what a connection delivers. A request is plain when it is there in one piece and alone, its name
 * needs no decoding, and none of its header fields means anything to this server.
 */

import { NAME_BYTES_MAX } from '../../counter/limits.ts';
import { type Principal, STRANGER } from '../auth/principal.ts';
import type { Guard } from './guard.ts';
import { amountAt, behind, behindSpace, CLOSE_OBJECT, endOfAmount, OPEN_OBJECT } from './plain-json.ts';

const BEFORE_NAME = Buffer.from('POST /v1/counters/');
const BEHIND_NAME = Buffer.from('/increment HTTP/1.1\r\n');
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const BY_FIELD = Buffer.from('"by":');
/** 1 for what a name has in a path that needs no decoding. */
const NAME_BYTES = new Uint8Array(256);
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:'))
  NAME_BYTES[byte] = 1;

/** A name and a value, with what neither Node nor anybody else reads in different ways. */
const FIELD = /^([a-z-]+): ([!-~](?:[ -~]*[!-~])?)$/i;
/** Fields that are always the same to this server. */
const MEANINGLESS: ReadonlySet<string> = new Set([
  ...['accept', 'accept-encoding', 'accept-language', 'authorization', 'cache-control', 'host', 'user-agent'],
  ...['sec-fetch-dest', 'sec-fetch-mode', 'sec-fetch-site', 'traceparent', 'tracestate', 'x-forwarded-for'],
  ...['x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'x-request-id'],
]);
/** Those that mean what is taken for granted here, as long as they have such a value. */
const EXPECTED: ReadonlyMap<string, RegExp> = new Map([
  ['connection', /^keep-alive$/i],
  ['content-length', /^(?:0|[1-9][0-9]{0,3})$/],
  ['content-type', /^[a-z]+\/[a-z0-9.+-]+(?:; ?charset=utf-8)?$/i],
]);
const HEAD_BYTES_MAX = 2048;
const HEADS_MAX = 1024;

/** What the header fields of a plain request say. */
interface Head {
  readonly bodyLength: number;
  readonly principal: Principal;
}

export class PlainIncrement {
  /** Where the name lies in the bytes that were read. */
  nameStart = 0;
  nameEnd = 0;
  name = '';
  amount = 0;
  readonly #guard: Guard;
  /** Header fields that were found plain, with what they say: clients say the same again and again. */
  readonly #heads = new Map<string, Head>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** @returns whether the bytes are one plain request, which is then in the fields above. */
  read(bytes: Buffer): boolean {
    const start = behind(BEFORE_NAME, bytes, 0);
    let end = start;
    while (NAME_BYTES[bytes[end]] === 1) end++;
    if (end === start || end > start + NAME_BYTES_MAX) return false;
    const head = behind(BEHIND_NAME, bytes, end);
    const headEnd = bytes.indexOf(END_OF_HEAD, head);
    if (headEnd < 0 || headEnd > head + HEAD_BYTES_MAX) return false;
    const said = this.#headOf(bytes.toString('latin1', head, headEnd));
    const body = headEnd + END_OF_HEAD.length;
    if (said === undefined || body + said.bodyLength !== bytes.length) return false;
    this.nameStart = start;
    this.nameEnd = end;
    this.name = bytes.toString('latin1', start, end);
    return said.principal.may('increment', this.name) && this.#readBody(bytes, body);
  }

  #readBody(bytes: Buffer, from: number): boolean {
    this.amount = 1;
    if (from === bytes.length) return true;
    if (bytes[from] !== OPEN_OBJECT) return false;
    if (bytes[from + 1] === CLOSE_OBJECT) return from + 2 === bytes.length;
    const digits = behindSpace(bytes, behind(BY_FIELD, bytes, from + 1));
    const end = endOfAmount(bytes, digits);
    if (bytes[end] !== CLOSE_OBJECT || end + 1 !== bytes.length) return false;
    this.amount = amountAt(bytes, digits, end);
    return true;
  }

  /** What such a head says; undefined: it is not plain. */
  #headOf(text: string): Head | undefined {
    const known = this.#heads.get(text);
    if (known !== undefined) return known;
    const head = this.#readHead(text);
    if (head !== undefined) {
      if (this.#heads.size >= HEADS_MAX) this.#heads.clear();
      this.#heads.set(text, head);
    }
    return head;
  }

  #readHead(text: string): Head | undefined {
    const fields = new Map<string, string>();
    for (const line of text.split('\r\n')) {
      const [, name = '', value = ''] = FIELD.exec(line) ?? [];
      const key = name.toLowerCase();
      if (fields.has(key) || !(MEANINGLESS.has(key) || EXPECTED.get(key)?.test(value) === true)) return undefined;
      fields.set(key, value);
    }
    const host = fields.get('host');
    if (host === undefined) return undefined;
    const principal = this.#guard.principalOf({ authorization: fields.get('authorization'), host });
    // Strangers are not remembered: their heads differ as they like.
    if (principal === STRANGER) return undefined;
    return { bodyLength: Number(fields.get('content-length') ?? 0), principal };
  }
}
