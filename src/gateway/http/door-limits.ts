/** The limits of the HTTP door, besides those of `counter/limits.ts`. A test may set its own. */
import { CONNECTIONS_MAX, HTTP_BODY_BYTES_MAX } from '../../counter/limits.ts';
import { assert } from '../../std/assert.ts';

export interface HttpLimits {
  /** The body of a batch. */
  readonly bodyBytesMax: number;
  /** All large bodies that are arriving, together; beyond it: `overloaded`. */
  readonly bodyBytesArrivingMax: number;
  /** All large answers that clients have not read, together; beyond it: `overloaded`. */
  readonly answerBytesMax: number;
  /** Commands handed to the service and not answered; beyond it: `overloaded`. */
  readonly commandsUnderWayMax: number;
  /** Requests handed to the service and not answered. */
  readonly requestsUnderWayMax: number;
  /** From a request's first byte (or a fresh connection) to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From a request's first byte to the end of its body. */
  readonly receiveTimeoutMs: number;
  /** From the hand-over to the service to its answer; then: `timeout`. */
  readonly answerTimeoutMs: number;
  /** Silence on a connection in the middle of a request, or no piece of an answer taken: the client is cut off. */
  readonly silenceTimeoutMs: number;
  /** Silence between two requests. Longer than the keep-alive of load balancers, so that they close first. */
  readonly keepAliveTimeoutMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  bodyBytesMax: HTTP_BODY_BYTES_MAX,
  bodyBytesArrivingMax: 256 * 1024 * 1024,
  answerBytesMax: 256 * 1024 * 1024,
  commandsUnderWayMax: 500_000,
  requestsUnderWayMax: 2 * CONNECTIONS_MAX,
  headersTimeoutMs: 60_000,
  receiveTimeoutMs: 60_000,
  answerTimeoutMs: 35_000,
  silenceTimeoutMs: 90_000,
  keepAliveTimeoutMs: 75_000,
};

/** Request line and headers of one request. */
export const HEADER_BYTES_MAX = 16 * 1024;
/** The body of any other request. Bodies up to this size are bounded by the number of connections, not in total. */
export const SMALL_BODY_BYTES_MAX = 64 * 1024;

assert(HTTP_LIMITS.receiveTimeoutMs < HTTP_LIMITS.silenceTimeoutMs, 'a half-sent request gets its 408 before the cut');
assert(HTTP_LIMITS.answerTimeoutMs < HTTP_LIMITS.silenceTimeoutMs, 'an answer in time comes before the silence ends');
assert(HTTP_LIMITS.bodyBytesMax <= HTTP_LIMITS.bodyBytesArrivingMax, 'one body of any allowed size is admitted');
