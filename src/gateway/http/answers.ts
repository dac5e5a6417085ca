/**
 * Sends JSON answers. A connection has one at a time (`connections.ts`), so small ones are bounded by the number of
 * connections. Larger ones leave in pieces, as the client reads them, and their memory has one bound over all
 * connections: room is reserved before anything is done, and a request without room for its answer is `overloaded`.
 */
import { Readable } from 'node:stream';
import { CountingError } from '../../counter/errors.ts';
import type { Reply } from './reply.ts';
import type { Turns } from './turns.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
/** Smaller answers reserve no room. */
const SMALL_ANSWER_BYTES = 16 * 1024;
/** The piece of a larger answer that the socket gets at once; a client that reads takes the pieces. */
export const PIECE_BYTES = 64 * 1024;
/** An answer of up to this size is one piece. */
const WHOLE_BYTES_MAX = 256 * 1024;

export class Answers {
  readonly #bytesMax: number;
  readonly #turns: Turns;
  #bytes = 0;

  constructor(bytesMax: number, turns: Turns) {
    this.#bytesMax = bytesMax;
    this.#turns = turns;
  }

  /**
   * Reserves room for an answer until it is sent or its connection is gone.
   * @returns a function that releases the part that the answer does not need.
   * @throws CountingError overloaded
   */
  reserve(reply: Reply, bytes: number): (neededBytes: number) => void {
    let held = bytes <= SMALL_ANSWER_BYTES ? 0 : bytes;
    if (held > 0 && this.#bytes + held > this.#bytesMax) {
      const detail = 'too many large answers are not read yet; try again later';
      throw new CountingError('overloaded', detail, { retryAfterMs: 1000 });
    }
    const shrink = (neededBytes: number): void => {
      const needed = Math.min(held, neededBytes);
      this.#bytes -= held - needed;
      held = needed;
    };
    this.#bytes += held;
    if (held > 0) reply.raw.once('close', () => shrink(0));
    return shrink;
  }
  /** Answers with JSON for which room is reserved. */
  sendJson(reply: Reply, json: string | Buffer): void {
    if (json.length <= WHOLE_BYTES_MAX) reply.header('content-type', JSON_TYPE).send(json);
    else this.sendBytes(reply, JSON_TYPE, typeof json === 'string' ? Buffer.from(json) : json);
  }

  /** Answers with existing bytes. */
  sendBytes(reply: Reply, type: string, bytes: Buffer): void {
    reply.header('content-type', type);
    if (bytes.length <= WHOLE_BYTES_MAX) reply.send(bytes);
    else reply.header('content-length', String(bytes.length)).send(new Pieces(bytes, this.#turns));
  }

  /** Answers with JSON that is produced piece by piece, each when the client has read the previous ones. */
  streamJson(reply: Reply, pieces: AsyncIterable<string>): void {
    reply.header('content-type', JSON_TYPE).send(Readable.from(pieces, { objectMode: false }));
  }
}

/** Returns bytes piece by piece, each but the first in its own turn: sockets may accept megabytes at once. */
class Pieces extends Readable {
  readonly #bytes: Buffer;
  readonly #turns: Turns;
  #at = 0;

  constructor(bytes: Buffer, turns: Turns) {
    super({ highWaterMark: PIECE_BYTES });
    this.#bytes = bytes;
    this.#turns = turns;
  }

  override _read(): void {
    if (this.#at === 0) this.#next();
    else this.#turns.later(() => this.#next());
  }

  #next(): void {
    if (this.destroyed) return;
    const from = this.#at;
    this.#at += PIECE_BYTES;
    this.push(from < this.#bytes.length ? this.#bytes.subarray(from, this.#at) : null);
  }
}
