/**
 * One call: an HTTP exchange, retried until its outcome is known or its time limit has passed.
 *
 * Every attempt of an update carries the same idempotency key, so a retry counts nothing twice. The only question at
 * the end is whether one of the attempts may have been applied. An attempt was certainly not applied if no connection
 * was made, or if the server says so by a code that means "nothing was changed". In every other case (a connection that
 * broke, an answer that says unknown, a proxy's 502) it may have been. From then on only an answer that the server gave
 * *after* looking up the key can settle the outcome: the outcome itself, or a refusal of the update as such
 * (`DECIDES`). A refusal before the lookup, such as a wrong secret, says nothing about the earlier attempt, so the call
 * ends unknown.
 *
 * Counters that many nodes share accept no keys (`needs_authority`). If only this client knows the key, the update is
 * then sent without it, and from then on not retried once it may have been applied. If an earlier attempt with the key
 * broke, it was not applied, provided that the nodes already shared counters when the call began: the server may just
 * have been restarted with a store.
 *
 * A fresh key carries this device's time. If the server finds it too old or in the future, nothing was counted with it:
 * the client computes its clock's error and continues with another key.
 */
import { standingOf } from './count.ts';
import { type RefusedDetails, RefusedError, UnknownOutcomeError } from './errors.ts';
import { freshKey } from './key.ts';
import { Memory } from './memory.ts';
import { TimeLimit } from './time-limit.ts';

/** The parts of a fetch response that the client uses. */
export interface FetchResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}

/** The options that the client passes to fetch. */
export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string | null;
  readonly signal: AbortSignal;
  readonly redirect: 'manual';
}

/** The part of the web's `fetch` that the client uses; pass another one for tests, tracing or a proxy. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;

/** A request, and how to read its answer. */
export interface Request<T> {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Percent-encoded, below the server's base address, with its query. */
  readonly path: string;
  /** The counters that it reads or changes. */
  readonly names: readonly string[];
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  /** The idempotency key of an update; undefined for reads. */
  readonly key: string | undefined;
  /** The caller gave the key, so an earlier call may have used it. */
  readonly keyIsCallers?: boolean | undefined;
  /** Default `idempotency-key`. */
  readonly keyHeader?: 'tallyd-import-chunk' | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** @throws if the answer does not have the expected shape. */
  readonly read: (answer: Answer) => T;
}

export interface Answer {
  readonly body: Record<string, unknown>;
  /** The server answered from an idempotency record: this attempt changed nothing, an earlier one did. */
  readonly replayed: boolean;
}

/** Why an attempt did not end the call as done. */
interface Failure {
  readonly code: string;
  readonly detail: string;
  readonly details: RefusedDetails;
  readonly mayBeApplied: boolean;
  readonly retry: boolean;
  /** The server's time, Unix ms: it refused the key for the time in it. */
  readonly nowMs?: number | undefined;
}

/** Codes for an unknown outcome. */
const UNKNOWN = new Set(['outcome_unknown', 'timeout', 'internal', 'idempotency_unsettled']);
/** Codes worth a retry, in addition to those of `UNKNOWN`. */
const PASSING = new Set([
  ...['unavailable', 'overloaded', 'shutting_down', 'idempotency_full', 'request_timeout'],
  ...['store_away', 'store_went_back', 'not_yet_visible'],
]);
/** Refusals that come after the lookup of the key: no attempt with this key has been applied. */
const DECIDES = new Set([
  ...['overflow', 'below_floor', 'above_ceiling', 'atomic_refused', 'too_many_counters', 'import_overlaps'],
]);
/** Statuses worth a retry if the answer has no code, as from a proxy. */
const PASSING_STATUS = new Set([408, 429, 500, 502, 503, 504]);

const SESSION_HEADER = 'tallyd-session';

const BACKOFF_MS = 50;
const BACKOFF_MS_MAX = 2_000;

/** Whether another attempt may well be accepted, after a refusal that changed nothing. */
export function isPassing(code: string): boolean {
  return PASSING.has(code);
}

/** Thrown while reading an answer that says done although nothing was changed, for a temporary reason. */
export class PassingRefusal extends Error {
  override readonly name = 'PassingRefusal';
  readonly code: string;

  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}

/** Sends requests to one server. */
export class Caller {
  readonly #baseUrl: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: Fetch;
  readonly #memory = new Memory();
  /** How far the server's clock is ahead of this one. */
  #offsetMs = 0;

  /** @param baseUrl without a slash at its end. */
  constructor(baseUrl: string, headers: Readonly<Record<string, string>>, fetch: Fetch) {
    this.#baseUrl = baseUrl;
    this.#headers = headers;
    this.#fetch = fetch;
  }

  /** A new idempotency key, by the server's clock as far as known. */
  freshKey(): string {
    return freshKey(Date.now() + this.#offsetMs);
  }

  /** @throws RefusedError, UnknownOutcomeError */
  async call<T>(request: Request<T>): Promise<T> {
    const timeLimit = new TimeLimit(request.timeoutMs, request.signal);
    try {
      return await this.#repeat(request, timeLimit);
    } finally {
      timeLimit.end();
    }
  }

  async #repeat<T>(request: Request<T>, timeLimit: TimeLimit): Promise<T> {
    if (timeLimit.signal.aborted) {
      throw new RefusedError('aborted', 'the call was aborted before it was sent', { cause: timeLimit.signal.reason });
    }
    const { names } = request;
    let { key } = request;
    let mayBeApplied = false;
    let isBare = isOurs(request) && this.#memory.takesNoKey(names);
    let hasLearned = false;
    const wasShared = this.#memory.hasSeenShared;
    for (let attempt = 0; ; attempt++) {
      const result = await this.#attempt(request, timeLimit, isBare ? undefined : key);
      if ('value' in result) return result.value;
      const failure = result.failure;
      if (!isBare && isOurs(request) && failure.code === 'needs_authority') {
        this.#memory.keepTakesNoKey(names, true);
        if (mayBeApplied && !wasShared) throw ended(request, key, failure, true);
        isBare = true;
        mayBeApplied = false;
        continue;
      }
      mayBeApplied ||= failure.mayBeApplied;
      if (!mayBeApplied && !hasLearned && isOurs(request) && failure.nowMs !== undefined) {
        hasLearned = true;
        this.#offsetMs = failure.nowMs - Date.now();
        key = this.freshKey();
        continue;
      }
      if (failure.code === 'invalid_session' && this.#memory.tokenFor(names) !== undefined) {
        this.#memory.forgetTokens();
        continue;
      }
      const mayRepeat = failure.retry && !(isBare && mayBeApplied);
      const again = mayRepeat && (await timeLimit.pause(waitMs(attempt, failure.details.retryAfterMs)));
      if (again) continue;
      // The next update checks again whether a key is accepted: with one it could have been retried.
      if (isBare && mayBeApplied) this.#memory.keepTakesNoKey(names, false);
      throw ended(request, key, timeLimit.abortedByCaller ? aborted(timeLimit) : failure, mayBeApplied);
    }
  }

  async #attempt<T>(
    request: Request<T>,
    timeLimit: TimeLimit,
    key: string | undefined,
  ): Promise<{ value: T } | { failure: Failure }> {
    let response: FetchResponse;
    let text: string;
    try {
      const separator = request.path.includes('?') ? '&' : '?';
      response = await this.#fetch(`${this.#baseUrl}${request.path}${separator}numbers=string`, {
        method: request.method,
        headers: this.#headersOf(request, key),
        body: request.body ?? null,
        signal: timeLimit.signal,
        // Followed, a redirected POST would become a GET and answer something else.
        redirect: 'manual',
      });
      text = await response.text();
    } catch (error) {
      return { failure: networkFailure(error, timeLimit) };
    }
    if (response.status < 200 || response.status > 299) return { failure: refusal(response, text) };
    try {
      const replayed = response.headers.get('idempotency-replayed') === 'true';
      const token = response.headers.get(SESSION_HEADER);
      if (token !== null) this.#memory.keepToken(request.names, token);
      return { value: request.read({ body: objectOf(text), replayed }) };
    } catch (error) {
      if (error instanceof PassingRefusal) {
        const { code, message } = error;
        return { failure: { code, detail: message, details: {}, mayBeApplied: false, retry: true } };
      }
      const detail = `what answers there is no Tallyd server, or another version: ${messageOf(error)}`;
      const details = { status: response.status, cause: error };
      return { failure: { code: 'bad_answer', detail, details, mayBeApplied: true, retry: false } };
    }
  }

  #headersOf(request: Request<unknown>, key: string | undefined): Record<string, string> {
    const headers: Record<string, string> = { accept: 'application/json', ...this.#headers, ...request.headers };
    if (key !== undefined) headers[request.keyHeader ?? 'idempotency-key'] = key;
    if (request.body !== undefined) headers['content-type'] = request.contentType ?? 'application/json';
    const token = request.method === 'GET' ? this.#memory.tokenFor(request.names) : undefined;
    if (token !== undefined) headers[SESSION_HEADER] = token;
    return headers;
  }
}

/** Whether only this call uses the key. */
function isOurs({ key, keyIsCallers, keyHeader }: Request<unknown>): boolean {
  return key !== undefined && keyIsCallers !== true && keyHeader === undefined;
}

function ended(request: Request<unknown>, key: string | undefined, failure: Failure, mayBeApplied: boolean): Error {
  const { code, details } = failure;
  const expired = code === 'idempotency_expired';
  // For an import's chunk the code concerns an id within it: none of the chunk was applied.
  const isUnknown = mayBeApplied || (expired && request.keyIsCallers === true);
  if (key !== undefined && isUnknown && !DECIDES.has(code)) {
    const cause = details.cause ?? new RefusedError(code, failure.detail, details);
    return new UnknownOutcomeError(key, code, failure.detail, cause);
  }
  // A key that was made a moment ago has not been counted before.
  const detail =
    expired && request.keyHeader === undefined
      ? "this device's clock is far behind the server's; set it right"
      : failure.detail;
  return new RefusedError(code, detail, details);
}

function aborted(timeLimit: TimeLimit): Failure {
  const details = { cause: timeLimit.signal.reason };
  return { code: 'aborted', detail: 'the call was aborted', details, mayBeApplied: true, retry: false };
}

/** No answer, or an incomplete one. */
function networkFailure(error: unknown, timeLimit: TimeLimit): Failure {
  const details = { cause: error };
  if (timeLimit.abortedByCaller) return aborted(timeLimit);
  if (timeLimit.signal.aborted) {
    const detail = 'no answer came before the time limit';
    return { code: 'timeout', detail, details: { cause: timeLimit.signal.reason }, mayBeApplied: true, retry: false };
  }
  const mayBeApplied = !neverConnected(error);
  const detail = mayBeApplied
    ? `the connection broke before the answer was complete (${messageOf(rootCause(error))})`
    : `no connection could be made (${messageOf(rootCause(error))}); is the server running, and is the url right?`;
  return { code: 'unreachable', detail, details, mayBeApplied, retry: true };
}

/**
 * Whether the error proves that nothing was sent. Only Node reports this; a browser's fetch does not say why it failed.
 */
function neverConnected(error: unknown): boolean {
  const cause = rootCause(error) as { [key in 'syscall' | 'code' | 'errors' | 'message']?: unknown } | null | undefined;
  if (Array.isArray(cause?.errors)) return cause.errors.length > 0 && cause.errors.every(neverConnected);
  if (cause?.syscall === 'connect' || cause?.syscall === 'getaddrinfo') return true;
  // The web's fetch does not connect to the ports of other protocols, such as 6000.
  return cause?.code === 'UND_ERR_CONNECT_TIMEOUT' || cause?.message === 'bad port';
}

function rootCause(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? rootCause(error.cause) : error;
}

/** The server, or a proxy in front of it, answered with an error status. */
function refusal(response: FetchResponse, text: string): Failure {
  const { status } = response;
  // Browsers show a redirect that was not followed as status 0.
  if (status === 0 || (status >= 300 && status < 400)) {
    const target = response.headers.get('location');
    const detail = `the server wants to be called elsewhere${target === null ? '' : `: ${target}`}; use that url`;
    return { code: 'redirected', detail, details: { status }, mayBeApplied: false, retry: false };
  }
  const problem = problemOf(text);
  const retryAfterMs = retryAfterOf(response.headers.get('retry-after'));
  const details = {
    status,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(typeof problem.index === 'number' ? { index: problem.index } : {}),
    ...(typeof problem.overlap === 'string' ? { overlap: problem.overlap } : {}),
    ...standingOf(problem),
  };
  if (typeof problem.code === 'string') {
    const { code } = problem;
    const detail = typeof problem.detail === 'string' ? problem.detail : code;
    // A newer server may have codes that are not listed here; of an expired key see `ended`.
    const isUnknown = problem['outcome'] === 'unknown' && code !== 'idempotency_expired';
    const mayBeApplied = isUnknown || UNKNOWN.has(code);
    const nowMs = typeof problem['now'] === 'number' ? problem['now'] : undefined;
    return { code, detail, details, mayBeApplied, retry: mayBeApplied || PASSING.has(code), nowMs };
  }
  const detail = `an answer with status ${status} that is none of a Tallyd server; is a proxy in between?`;
  return {
    code: `http_${status}`,
    detail,
    details,
    mayBeApplied: status >= 500,
    retry: PASSING_STATUS.has(status),
  };
}

function problemOf(text: string): Record<string, unknown> {
  try {
    return objectOf(text);
  } catch {
    // A proxy's error page: its status is all there is to know.
    return {};
  }
}

function objectOf(text: string): Record<string, unknown> {
  const body: unknown = JSON.parse(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new SyntaxError('not a JSON object');
  return body as Record<string, unknown>;
}

/** Retry-After as seconds; its other form, a date, would need the server's clock. */
function retryAfterOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : undefined;
}

/** Exponential, randomized back-off: clients that failed together must not retry together. */
function waitMs(attempt: number, retryAfterMs: number | undefined): number {
  const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(attempt, 10));
  return (retryAfterMs ?? 0) + backoffMs * (0.5 + Math.random() / 2);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return error.message !== '' ? error.message : typeof code === 'string' ? code : error.name;
}
