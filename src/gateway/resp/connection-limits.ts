/** What connections of the RESP door are allowed. */
import { AUTHENTICATION_MS, OUTPUT_BYTES_MAX } from '../../counter/limits.ts';

export interface ConnectionLimits {
  /** Bytes that may wait while a batch is pending; beyond this the socket is not read. */
  readonly unreadBytesMax: number;
  /** Replies that the client has not read; beyond this the connection is cut. */
  readonly outputBytesMax: number;
  /** From a request's first byte to its last. */
  readonly requestMs: number;
  /** Time for the client to read its last replies. */
  readonly lastRepliesMs: number;
  /** Time from then on for the client to close. */
  readonly lingerMs: number;
  /** Time for the client to authenticate, if a secret is set. */
  readonly authenticationMs: number;
  /** After a wrong secret nothing is read for this long, which makes guessing useless. */
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
