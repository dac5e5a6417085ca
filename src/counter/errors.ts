/**
 * The error catalogue: every error that a caller can get, with its stable code. Three mappings read it: HTTP (status
 * and problem+json), RESP (the reply's text) and the CLI (exit code by `outcome`).
 *
 * `outcome` is what the caller may conclude. `refused`: nothing changed, and nothing will. `unknown`: the update may or
 * may not have been counted; only a retry with the same idempotency key settles it.
 *
 * Ids are stored in a chunk's outcome column and in idempotency records on disk, and callers see the codes. So neither
 * ever changes or gets another meaning. (12 was never used.)
 */

import { type CatalogueEntry, entry } from './error-entry.ts';

const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';

export const ERRORS = {
  invalid_name: entry(
    1,
    'refused',
    400,
    'ERR invalid counter name: it takes 1 to 255 bytes of UTF-8',
    'a counter name takes 1 to 255 bytes of valid UTF-8; choose another name',
  ),
  invalid_number: entry(
    2,
    'refused',
    400,
    NOT_AN_INTEGER,
    'a count is an integer literal or a decimal string from -9223372036854775808 to 9223372036854775807, without fraction or exponent',
  ),
  overflow: entry(
    3,
    'refused',
    409,
    'ERR increment or decrement would overflow',
    'the result would not fit in a signed 64-bit integer; nothing was changed',
  ),
  below_floor: entry(
    4,
    'refused',
    409,
    'ERR the result would be below the floor',
    'the result would be below the floor; nothing was changed; pass saturate to take what is there',
  ),
  above_ceiling: entry(
    5,
    'refused',
    409,
    'ERR the result would be above the ceiling',
    'the result would be above the ceiling; nothing was changed; pass saturate to fill what is left',
  ),
  unavailable: entry(
    6,
    'refused',
    503,
    'TRYAGAIN the journal cannot be written right now, nothing was changed',
    'the journal cannot be written right now; nothing was changed; try again later',
  ),
  outcome_unknown: entry(
    7,
    'unknown',
    500,
    'ERR outcome unknown',
    'the journal failed while this was being written: it may or may not count; retry with the same Idempotency-Key, or read the counter',
  ),
  overloaded: entry(
    8,
    'refused',
    429,
    'TRYAGAIN too many updates are waiting for the disk, nothing was changed',
    'too many updates are waiting for the disk; nothing was changed; slow down and try again',
  ),
  shutting_down: entry(
    9,
    'refused',
    503,
    'ERR the server is shutting down',
    'the server is shutting down; nothing was changed; try again on another or after the restart',
  ),
  atomic_refused: entry(
    10,
    'refused',
    409,
    'ERR another entry of the atomic batch was refused',
    'another entry of this atomic batch was refused, so none was applied; mend that entry and send the batch again',
  ),
  idempotency_mismatch: entry(
    11,
    'refused',
    422,
    'ERR this idempotency key was used for another request',
    'this idempotency key was used for another request; use a fresh key for a new request',
  ),
  idempotency_expired: entry(
    13,
    'unknown',
    409,
    'ERR this idempotency key is older than what is remembered',
    'this idempotency key is older than what is remembered, so it may have been counted before; nothing was changed now; read the counter',
  ),
  idempotency_from_future: entry(
    14,
    'refused',
    400,
    'ERR the time in this idempotency key lies in the future',
    'the time in this idempotency key lies further ahead than the allowed clock skew; set the clock right and use a fresh key',
  ),
  idempotency_full: entry(
    15,
    'refused',
    429,
    'TRYAGAIN the store of idempotency records is full',
    'the store of idempotency records is full; nothing was changed; retry after the stated time or use time-ordered keys (UUIDv7)',
  ),
  too_many_counters: entry(
    16,
    'refused',
    507,
    'OOM the limit of counters is reached',
    'the limit of counters, or of the memory for them, is reached, and no new name or deadline can be taken; delete counters, or raise the limit: counters-max, memory',
  ),
  invalid_deadline: entry(
    17,
    'refused',
    400,
    'ERR invalid expire time',
    'a ttl is a positive whole number of milliseconds within 2^53; choose another',
  ),
  timeout: entry(
    18,
    'unknown',
    504,
    'ERR outcome unknown: the deadline of the call has passed',
    'the deadline of the call has passed before the disk answered: it may or may not count; retry with the same Idempotency-Key, or read the counter',
  ),
  atomic_too_large: entry(
    19,
    'refused',
    413,
    'ERR too many commands in one transaction',
    'too many entries for one atomic unit; send at most 10 000',
  ),
  invalid_cursor: entry(
    20,
    'refused',
    400,
    'ERR invalid cursor',
    'this cursor was not given by this process; start the listing again without a cursor',
  ),
  invalid_body: entry(
    21,
    'refused',
    400,
    'ERR Protocol error',
    'the body is not what this route takes; see /openapi.json',
  ),
  invalid_query: entry(
    22,
    'refused',
    400,
    'ERR syntax error',
    'the query string is not what this route takes; see /openapi.json',
  ),
  body_too_large: entry(
    23,
    'refused',
    413,
    'ERR Protocol error: too big',
    'the body is too large: at most 16 MiB for a batch, 64 KiB otherwise; send smaller batches',
  ),
  unauthorized: entry(
    24,
    'refused',
    401,
    'NOAUTH Authentication required.',
    'this server has a secret: send it as "Authorization: Bearer SECRET"',
  ),
  wrong_secret: entry(
    25,
    'refused',
    401,
    'WRONGPASS invalid username-password pair or user is disabled.',
    'the secret is wrong; check TALLYD_SECRET',
  ),
  origin_refused: entry(
    26,
    'refused',
    403,
    'ERR origin refused',
    'a page of another origin may not call this server; name its origin in the option --cors',
  ),
  not_found: entry(27, 'refused', 404, 'ERR unknown command', 'there is no such route; see /docs'),
  method_not_allowed: entry(
    28,
    'refused',
    405,
    'ERR unknown command',
    'this route does not take that method; see /docs',
  ),
  invalid_idempotency_key: entry(
    29,
    'refused',
    400,
    'ERR invalid idempotency key',
    'an Idempotency-Key takes 1 to 255 printable ASCII characters',
  ),
  internal: entry(
    30,
    'unknown',
    500,
    'ERR internal error',
    'the server met an error of its own and has logged it; retry with the same Idempotency-Key, or read the counter',
  ),
  idempotency_unsettled: entry(
    31,
    'unknown',
    500,
    'ERR the first request with this idempotency key has no known outcome yet',
    'the first request with this key hit a failing journal and has no known outcome yet; retry with the same key later',
  ),
  request_timeout: entry(
    32,
    'refused',
    408,
    'ERR request timed out',
    'the request did not arrive in time; nothing was changed; send it again',
  ),
  invalid_request: entry(
    33,
    'refused',
    400,
    'ERR Protocol error',
    'this is not a valid HTTP request; nothing was changed',
  ),
  headers_too_large: entry(
    34,
    'refused',
    431,
    'ERR Protocol error: too big',
    'the request line and headers are larger than 16 KiB; ask for fewer names at once',
  ),
  unsupported_media_type: entry(
    35,
    'refused',
    415,
    'ERR Protocol error',
    'the body is taken as it is, in UTF-8: send a well-formed Content-Type and no Content-Encoding',
  ),
  needs_authority: entry(
    36,
    'refused',
    501,
    'ERR bounds, deadlines, conditions, keys and transactions are not supported on a shared counter',
    'bounds, deadlines, idempotency keys, imports and atomic batches are not supported on a counter that many nodes share; nothing was changed; do without, or use a name that a policy with "scope: local" matches; a directory that has met its store takes no other such policies: docs/many-nodes.md, Local counters',
  ),
  store_away: entry(
    37,
    'refused',
    503,
    'TRYAGAIN the store does not answer and this counter is not known here, nothing was changed',
    'the store that the nodes share does not answer, and without it this cannot be done; nothing was changed; try again later',
  ),
  out_of_range: entry(
    38,
    'refused',
    409,
    'ERR the sum of all nodes is out of range',
    'what all nodes have counted together does not fit in a signed 64-bit integer; only updates that lead back are taken',
  ),
  invalid_session: entry(
    40,
    'refused',
    400,
    'ERR invalid session token',
    'a session token is what an earlier answer of one of the nodes carried; send it back as it was',
  ),
  not_yet_visible: entry(
    39,
    'refused',
    503,
    'TRYAGAIN the update of this session is not visible here yet',
    'the update that the session token tells of has not reached this node yet; try again',
  ),
  precondition_failed: entry(
    41,
    'refused',
    412,
    'ERR precondition failed',
    'the counter is not as If-Match or If-None-Match asks; nothing was changed; read it again',
  ),
  host_refused: entry(
    42,
    'refused',
    403,
    'ERR host refused',
    'without a secret this server is called by localhost or an address only, since a foreign page can have any name point here; name the host in the option --allowed-hosts, or set a secret',
  ),
  store_damaged: entry(
    46,
    'refused',
    503,
    "TRYAGAIN the store's record of this counter is damaged, nothing was changed",
    "the record of this counter in the store that the nodes share is damaged; nothing was changed; nodes that know it bring back what they have, the log says what is wrong: see 'A damaged record' in docs/what-happens-when.md",
  ),
  store_went_back: entry(
    62,
    'refused',
    503,
    'TRYAGAIN the store went back in time and not all nodes have restored what they know, nothing was changed',
    'the store that the nodes share went back in time, and not all of them have restored yet what they know; nothing was changed; try again later',
  ),
  import_overlaps: entry(
    50,
    'refused',
    409,
    'ERR a part of this import chunk was imported before',
    'a part of this import chunk was imported before: through the id in `overlap`, after which the rest can be sent, or, without one, other lines after the same beginning; nothing was changed',
  ),
  invalid_pattern: entry(
    61,
    'refused',
    400,
    'ERR invalid pattern: it takes at most 1024 bytes',
    'a pattern of names takes at most 1,024 bytes of UTF-8; choose a shorter one',
  ),
  too_many_imports: entry(
    60,
    'refused',
    507,
    'OOM no further import can be remembered',
    'the memory for counters and for what was imported is used up, so this chunk cannot be remembered; nothing was changed; delete counters, or raise the limit (memory)',
  ),
} as const satisfies Record<string, CatalogueEntry>;

/** A stable error code, as callers see it. */
export type ErrorCode = keyof typeof ERRORS;

/** The id in an outcome column for success. */
export const DONE = 0;

/** Ids of the refusals that depend on the current count: overflow and the bounds. */
export const BOUND_REFUSALS = idsOf(ERRORS.overflow, ERRORS.below_floor, ERRORS.above_ceiling);

/** Ids of the refusals of an idempotency key because of its time. */
export const KEY_TIME_REFUSALS = idsOf(ERRORS.idempotency_expired, ERRORS.idempotency_from_future);

function idsOf(...entries: readonly CatalogueEntry[]): ReadonlySet<number> {
  return new Set(entries.map(({ id }) => id));
}

const codesById: (ErrorCode | undefined)[] = [];
for (const [code, { id }] of Object.entries(ERRORS)) codesById[id] = code as ErrorCode;

/** The code of an id other than `DONE`. */
export function errorCode(id: number): ErrorCode {
  return codesById[id] ?? 'internal';
}

/** Details that only some errors have. */
export interface CountingErrorDetails {
  readonly cause?: unknown;
  readonly retryAfterMs?: number;
  readonly value?: bigint;
  readonly ttlMs?: number | undefined;
}

/** An error of the catalogue as an exception, for the calls that throw (embedding, listing, opening). */
export class CountingError extends Error {
  override readonly name = 'CountingError';
  readonly code: ErrorCode;
  /** Milliseconds after which to retry, if known. */
  readonly retryAfterMs: number | undefined;
  /** Refused for a bound or an overflow: the current count, if known. */
  readonly value: bigint | undefined;
  /** Refused for a bound: seconds until the counter expires, rounded up; undefined if it does not. */
  readonly ttlSeconds: number | undefined;

  constructor(code: ErrorCode, detail?: string, options: CountingErrorDetails = {}) {
    super(detail ?? ERRORS[code].message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.value = options.value;
    this.ttlSeconds = options.ttlMs === undefined ? undefined : Math.ceil(options.ttlMs / 1000);
  }

  get entry(): CatalogueEntry {
    return ERRORS[this.code];
  }
}
