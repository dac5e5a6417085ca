/** What connections of the RESP door are allowed. */
import { AUTHENTICATION_MS, OUTPUT_BYTES_MAX } from '../../counter/limits.ts';

export interface ConnectionLimits {
  /** Bytes that wait while a batch is under way, before no more is taken from the socket. */
  readonly unreadBytesMax: number;
  /** Replies that the client has not taken; beyond it the connection is cut. */
  readonly outputBytesMax: number;
  /** From a request's first byte to its last. */
  readonly requestMs: number;
  /** For the client to take its last replies. */
  readonly lastRepliesMs: number;
  /** From then on, for the client to close. */
  readonly lingerMs: number;
  /** For the client to show the secret, where there is one. */
  readonly authenticationMs: number;
  /** After a wrong secret nothing is read for so long: guessing is no use. */
  readonly penaltyMs: number;
}

export interface RespLimits extends ConnectionLimits {
  /**
   * What all connections together make the server hold: bytes received, queued, under way and not yet taken. Who asks
   * for more is cut, unless it holds no more than an equal share; so it is never more than twice this, and an eighth on
   * top for those that have not shown the secret.
   */
  readonly heldBytesMax: number;
}

export const RESP_LIMITS: RespLimits = {
  heldBytesMax: 1024 * 1024 * 1024,
  unreadBytesMax: 256 * 1024,
  outputBytesMax: OUTPUT_BYTES_MAX,
  requestMs: 60_000,
  lastRepliesMs: 60_000,
  lingerMs: 5_000,
  authenticationMs: AUTHENTICATION_MS,
  penaltyMs: 1_000,
};
