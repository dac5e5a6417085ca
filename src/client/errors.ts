/**
 * The two ways in which a call fails. A caller that counts money or votes must know the difference:
 *
 * - `RefusedError`: nothing was changed, and nothing will be. Fix the request, or simply retry.
 * - `UnknownOutcomeError`: the update may or may not count. Only a retry with the same idempotency key settles it
 *   (`idempotencyKey: error.key`); it never counts a second time.
 *
 * A call that changes nothing (a read) is never unknown: it is done or refused.
 */

/**
 * Codes of the client itself; all others come from the server's error catalogue. `unreachable`: no connection could be
 * made until the time limit. `timeout`: a read was not answered in time. `aborted`: the caller's signal fired before
 * anything was sent, or during a read. `bad_answer`: what answered is no Tallyd server. `redirected`: the server wants
 * another `url`. `http_NNN`: status NNN without a code, as proxies answer.
 */
export type ClientCode = 'unreachable' | 'timeout' | 'aborted' | 'bad_answer' | 'redirected' | `http_${number}`;

export interface RefusedDetails {
  /** HTTP status, if there was an answer. */
  readonly status?: number | undefined;
  /** With `atomic: true`: the position of the update that was refused. */
  readonly index?: number | undefined;
  /** When to retry, according to the server. */
  readonly retryAfterMs?: number | undefined;
  /** Refused by a bound or for overflow: the count as it stays. */
  readonly value?: bigint | undefined;
  /** Refused by a bound: seconds until the counter expires, rounded up; undefined when it does not. */
  readonly ttlSeconds?: number | undefined;
  /** `import_overlaps`: the id of the chunk through which it was imported. */
  readonly overlap?: string | undefined;
  readonly cause?: unknown;
}

/** Nothing was changed, and nothing will be. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  /** Stable code: of the server's error catalogue, or a `ClientCode`. */
  readonly code: string;
  /** What was wrong and what to do, as a readable sentence. */
  readonly detail: string;
  readonly status: number | undefined;
  readonly index: number | undefined;
  readonly retryAfterMs: number | undefined;
  /** Refused by a bound or for overflow: the count as it stays. */
  readonly value: bigint | undefined;
  /** Refused by a bound: seconds until the counter expires, rounded up; undefined when it does not. */
  readonly ttlSeconds: number | undefined;
  /** `import_overlaps`: the id of the chunk through which it was imported. */
  readonly overlap: string | undefined;

  constructor(code: string, detail: string, details: RefusedDetails = {}) {
    super(`${code}: ${detail}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.detail = detail;
    this.status = details.status;
    this.index = details.index;
    this.retryAfterMs = details.retryAfterMs;
    this.value = details.value;
    this.ttlSeconds = details.ttlSeconds;
    this.overlap = details.overlap;
  }
}

/** The update may or may not count; a retry with `idempotencyKey: error.key` settles it and never counts twice. */
export class UnknownOutcomeError extends Error {
  override readonly name = 'UnknownOutcomeError';
  /** The idempotency key that the update was sent with. */
  readonly key: string;
  /** The server's code, or why there was no answer (a `ClientCode`). */
  readonly code: string;
  /** What happened, as a readable sentence. */
  readonly detail: string;

  /** @param cause the last thing that went wrong. */
  constructor(key: string, code: string, detail: string, cause: unknown) {
    super(`${code}: ${detail}; it may or may not count: repeat it with idempotency key ${key}`, { cause });
    this.key = key;
    this.code = code;
    this.detail = detail;
  }
}
