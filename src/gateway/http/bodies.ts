/**
 * Receives request bodies. Fastify bounds only single bodies; here all large arriving bodies share one bound, so that
 * many clients sending at once cannot fill the memory. A refused body is read to its end (within limits) and discarded,
 * because a client that is still sending does not see an answer.
 */
import type { IncomingMessage } from 'node:http';
import { CountingError } from '../../counter/errors.ts';
import { type HttpLimits, SMALL_BODY_BYTES_MAX } from './door-limits.ts';

/** How many times the allowed size is read and discarded before the connection is closed. */
const DISCARD_FACTOR = 4;
const NO_BYTES = Buffer.alloc(0);
const NOTHING_HELD = (): void => undefined;
/** What some editors and shells write before UTF-8. */
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/**
 * Called once per body. The bytes may share memory with others: read them only.
 * @param release must be called when they are no longer needed: until then they count as arriving.
 */
export type Received = (error: CountingError | undefined, bytes: Buffer, release: () => void) => void;

export class Bodies {
  readonly #limits: HttpLimits;
  #bytesArriving = 0;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  /** Collects the request's body. */
  receive(request: IncomingMessage, bytesMax: number, received: Received): void {
    const encoding = request.headers['content-encoding'];
    const declaredBytes = Number(request.headers['content-length'] ?? 0);
    if (encoding !== undefined && encoding !== 'identity') {
      received(new CountingError('unsupported_media_type'), NO_BYTES, NOTHING_HELD);
    } else if (declaredBytes > bytesMax * DISCARD_FACTOR) {
      received(tooLarge(bytesMax), NO_BYTES, NOTHING_HELD);
    } else {
      this.#collect(request, bytesMax, received);
    }
  }

  #collect(request: IncomingMessage, bytesMax: number, received: Received): void {
    const pieces: Buffer[] = [];
    let length = 0;
    let counted = 0;
    let refusal: CountingError | undefined;
    const release = (): void => {
      this.#bytesArriving -= counted;
      counted = 0;
    };
    const finish = (error: CountingError | undefined): void => {
      request.off('data', onData).off('end', onEnd).off('error', onError);
      const bytes = withoutMark(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces));
      received(error, bytes, release);
    };
    const onData = (piece: Buffer): void => {
      length += piece.length;
      refusal ??= this.#refuse(length, counted, bytesMax);
      if (refusal === undefined) {
        pieces.push(piece);
        if (length <= SMALL_BODY_BYTES_MAX) return;
        this.#bytesArriving += length - counted;
        counted = length;
      } else {
        pieces.length = 0;
        release();
        if (length > bytesMax * DISCARD_FACTOR) finish(refusal);
      }
    };
    const onEnd = (): void => finish(refusal);
    // The client disconnected in the middle of its body, so no answer is needed.
    const onError = (): void => finish(new CountingError('invalid_request', 'the body ended too early'));
    request.on('data', onData).on('end', onEnd).on('error', onError);
  }

  /** @param counted the part of this body already in `#bytesArriving`. */
  #refuse(length: number, counted: number, bytesMax: number): CountingError | undefined {
    if (length > bytesMax) return tooLarge(bytesMax);
    const arriving = this.#bytesArriving - counted + length;
    if (length <= SMALL_BODY_BYTES_MAX || arriving <= this.#limits.bodyBytesArrivingMax) return undefined;
    return new CountingError('overloaded', 'too many large bodies are arriving at once; try again later');
  }
}

function withoutMark(bytes: Buffer): Buffer {
  const { length } = BYTE_ORDER_MARK;
  return bytes.subarray(0, length).equals(BYTE_ORDER_MARK) ? bytes.subarray(length) : bytes;
}

function tooLarge(bytesMax: number): CountingError {
  return new CountingError('body_too_large', `a body takes up to ${bytesMax} bytes here`);
}
