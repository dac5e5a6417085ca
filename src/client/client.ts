/**
 * The Tallyd client: exact counters over HTTP, for Node and browsers, without dependencies.
 *
 *     import { TallydClient } from 'tallyd/client';
 *     const client = new TallydClient({ url: 'http://127.0.0.1:7070' });
 *     await client.increment('likes:42');     // 1n, the new count
 *
 * Every call has a time limit and ends in one of three ways: it returns (done), it throws RefusedError (nothing was
 * changed) or UnknownOutcomeError (an update may or may not count). Until the time limit, updates are retried under one
 * idempotency key, so that a retry never counts twice. Counts are `bigint`.
 */
import {
  type Adjustment,
  adjustmentOf,
  type BatchResult,
  batchOf,
  chunkOf,
  deletedOf,
  type Entry,
  infoOf,
  type Page,
  pageOf,
  previousOf,
  type Reading,
  readingsOf,
  type ServerInfo,
  type SnapshotSummary,
  snapshotOf,
  type TimeToLive,
  timeToLiveOf,
} from './answers.ts';
import { type Answer, Caller, type Fetch } from './call.ts';
import { countText } from './count.ts';
import { RefusedError } from './errors.ts';
import { checkKey } from './key.ts';
import { checkName, fitsPath, queriesOf } from './names.ts';
import { baseUrlOf, checkOptions, checkSecret, checkTimeout, wholeSeconds } from './options.ts';

export type {
  Adjustment,
  BatchResult,
  Entry,
  Outcome,
  Reading,
  ServerInfo,
  SnapshotSummary,
  TimeToLive,
} from './answers.ts';
export type { Fetch, FetchInit, FetchResponse } from './call.ts';
export { type ClientCode, RefusedError, UnknownOutcomeError } from './errors.ts';

/** A count from a caller: a bigint, or an exact number (a safe integer). */
export type Count = bigint | number;

export interface ClientOptions {
  /** The server's HTTP address; default `http://127.0.0.1:7070`. May have a path if a proxy adds one. */
  readonly url?: string | undefined;
  /** The server's secret, sent as a bearer token. */
  readonly secret?: string | undefined;
  /** Time limit of a call including its retries, unless the call has its own; default 10 000. */
  readonly timeoutMs?: number | undefined;
  /** Replaces the global `fetch`. */
  readonly fetch?: Fetch | undefined;
}

export interface CallOptions {
  /** Time limit of this call including its retries. */
  readonly timeoutMs?: number | undefined;
  /** Ends the call early. */
  readonly signal?: AbortSignal | undefined;
}

export interface UpdateOptions extends CallOptions {
  /** To retry an update whose outcome is unknown; by default each call gets a new key. */
  readonly idempotencyKey?: string | undefined;
}

export interface IncrementOptions extends UpdateOptions {
  /** Refuse (code `below_floor`) when the result would be below. */
  readonly floor?: Count | undefined;
  /** Refuse (code `above_ceiling`) when the result would be above. */
  readonly ceiling?: Count | undefined;
  /** At a bound apply what fits instead of refusing; `applied` is the part that was applied. */
  readonly saturate?: boolean | undefined;
  /** The counter expires this long after this update; a whole number. */
  readonly ttlSeconds?: number | undefined;
  /** `ttlSeconds` applies only if the counter has no deadline yet: a fixed window. */
  readonly ttlIfNone?: boolean | undefined;
}

export interface AdjustOptions extends IncrementOptions {
  /** Subtract instead of adding. */
  readonly subtract?: boolean | undefined;
}

export interface SetOptions extends UpdateOptions {
  /** The counter expires this long after; without it a set removes the deadline. */
  readonly ttlSeconds?: number | undefined;
}

/** One update of a batch. */
export interface BatchUpdate {
  readonly name: string;
  /** Default 1. */
  readonly by?: Count | undefined;
  readonly floor?: Count | undefined;
  readonly ceiling?: Count | undefined;
  readonly saturate?: boolean | undefined;
  readonly ttlSeconds?: number | undefined;
  readonly ttlIfNone?: boolean | undefined;
  /** An idempotency key for this entry alone: a repeated event counts once, no matter which batch carries it. */
  readonly id?: string | undefined;
  /** When it happened, Unix seconds. */
  readonly at?: number | undefined;
}

export interface BatchOptions extends UpdateOptions {
  /** All or nothing: if one update is refused, the call throws its RefusedError, with `index`. */
  readonly atomic?: boolean | undefined;
}

export interface ChunkOptions extends Omit<BatchOptions, 'idempotencyKey'> {
  /** The id of all content before the chunk; omitted for the first. */
  readonly after?: string | undefined;
  /**
   * Ids of the content through some places after the chunk's beginning, by length, including the chunk's own. If
   * content through one of them, or other content after the same beginning, was imported, the call is refused as
   * `import_overlaps` and counts nothing. `error.overlap` is the last such place, after a `>` if more was imported.
   */
  readonly places?: readonly string[] | undefined;
}

export interface ListOptions extends CallOptions {
  /** Redis-style pattern over names: `*`, `?`, `[a-z]`, `[^x]`, backslash. */
  readonly match?: string | undefined;
  /** Counters examined per request, 1 to 10 000; default 1 000. The time limit applies to each request. */
  readonly pageSize?: number | undefined;
  /** Called once if the server shares its counters with others and lists only those that it holds. */
  readonly onOnlyHeld?: (() => void) | undefined;
}

const TIMEOUT_MS = 10_000;
const PAGE_SIZE = 1_000;
/** Servers and proxies take at least 8 KiB of request line. */
const QUERY_LENGTH_MAX = 6_000;

export class TallydClient {
  readonly #caller: Caller;
  readonly #timeoutMs: number;

  /** @throws TypeError if an option is invalid. Opens no connection yet. */
  constructor(options: ClientOptions = {}) {
    checkOptions(options, 'client');
    this.#timeoutMs = checkTimeout(options.timeoutMs ?? TIMEOUT_MS);
    const headers = options.secret === undefined ? {} : { authorization: `Bearer ${checkSecret(options.secret)}` };
    const webFetch: Fetch = (url, init) => globalThis.fetch(url, init);
    this.#caller = new Caller(baseUrlOf(options.url ?? 'http://127.0.0.1:7070'), headers, options.fetch ?? webFetch);
  }

  /**
   * Adds `by`, which may be negative; creates an absent counter.
   * @returns the new count. Undefined: counted, but the count is unknown while the shared store is unreachable.
   */
  async increment(name: string, by: Count = 1, options: IncrementOptions = {}): Promise<bigint | undefined> {
    return (await this.adjust(name, by, checkOptions(options, 'increment'))).value;
  }

  /** Subtracts `by`. @returns as `increment`. */
  async decrement(name: string, by: Count = 1, options: IncrementOptions = {}): Promise<bigint | undefined> {
    return (await this.adjust(name, by, { ...checkOptions(options, 'increment'), subtract: true })).value;
  }

  /**
   * Increments, or with `subtract` decrements, and returns more: how much was applied, and whether by an earlier
   * attempt.
   */
  async adjust(name: string, by: Count, options: AdjustOptions = {}): Promise<Adjustment> {
    checkOptions(options, 'adjust');
    if (!fitsPath(checkName(name))) return this.#adjustInBatch(name, by, options);
    const body = { by: countText(by, 'by'), ...boundsOf(options) };
    const path = `${counterPath(name)}/${options.subtract === true ? 'decrement' : 'increment'}`;
    return this.#update('POST', name, path, body, options, adjustmentOf);
  }

  /** @returns the count, 0n for a counter that is absent. */
  async get(name: string, options: CallOptions = {}): Promise<bigint> {
    return (await this.#readOne(name, options)).value;
  }

  async exists(name: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.#readOne(name, options)).exists;
  }

  /** @returns the counts in the order of the names. */
  async getMany(names: readonly string[], options: CallOptions = {}): Promise<bigint[]> {
    return (await this.read(names, options)).map(({ value }) => value);
  }

  /** Like `getMany`, and returns which counters exist. Long lists take several requests, each with the time limit. */
  async read(names: readonly string[], options: CallOptions = {}): Promise<Reading[]> {
    checkOptions(options, 'call');
    const readings: Reading[] = [];
    for (const query of queriesOf(names, QUERY_LENGTH_MAX)) {
      const asked = names.slice(readings.length, readings.length + query.length);
      readings.push(...(await this.#read(`/v1/counters?${query.join('&')}`, options, readingsOf, asked)));
    }
    return readings;
  }

  /** Sets the count. @returns the previous count, 0n for an absent counter. */
  async set(name: string, value: Count, options: SetOptions = {}): Promise<bigint> {
    checkOptions(options, 'set');
    const body = { value: countText(value, 'value'), ttl: wholeSeconds(options.ttlSeconds) };
    return this.#update('PUT', name, counterPath(name), body, options, previousOf);
  }

  /** Sets the count to 0. @returns the previous count. */
  async reset(name: string, options: UpdateOptions = {}): Promise<bigint> {
    return this.set(name, 0, checkOptions(options, 'update'));
  }

  /** @returns whether the counter existed. */
  async delete(name: string, options: UpdateOptions = {}): Promise<boolean> {
    checkOptions(options, 'update');
    return this.#update('DELETE', name, counterPath(name), undefined, options, deletedOf);
  }

  /** Sets the counter's deadline. @returns whether the counter exists. */
  async expire(name: string, ttlSeconds: number, options: UpdateOptions = {}): Promise<boolean> {
    return this.#setDeadline(name, wholeSeconds(ttlSeconds) ?? null, options);
  }

  /** Removes the counter's deadline. @returns whether the counter exists. */
  async persist(name: string, options: UpdateOptions = {}): Promise<boolean> {
    return this.#setDeadline(name, null, options);
  }

  async ttl(name: string, options: CallOptions = {}): Promise<TimeToLive> {
    return this.#read(`${counterPath(name)}/ttl`, checkOptions(options, 'call'), timeToLiveOf, [name]);
  }

  /**
   * All counters, or those that match, in no particular order. One that exists throughout is listed exactly once; one
   * created or deleted meanwhile may or may not be. If the server restarts in between, the iteration throws
   * RefusedError `invalid_cursor`.
   */
  async *list(options: ListOptions = {}): AsyncGenerator<Entry, void, undefined> {
    checkOptions(options, 'list');
    let cursor: string | undefined;
    do {
      const page: Page = await this.#page(cursor, options);
      if (page.onlyHeld && cursor === undefined) options.onOnlyHeld?.();
      yield* page.entries;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /**
   * Up to 10 000 updates in one request. Without `atomic` each has its own outcome, and refused ones do not hold back
   * the others.
   */
  async batch(updates: readonly BatchUpdate[], options: BatchOptions = {}): Promise<BatchResult> {
    checkOptions(options, 'batch');
    if (updates.length === 0) return { outcomes: [], replayed: false };
    const read = (answer: Answer) => batchOf(answer, updates.length);
    return this.#caller.call({ ...this.#batch(updates, options), ...this.#keyOf(options), read });
  }

  /**
   * One chunk of an import: a batch under an id that the server keeps for good, so that the same chunk, sent again at
   * any later time, counts nothing and returns `replayed`, without outcomes.
   * @param chunkId 1 to 255 printable ASCII characters; by convention a hash of all content through the chunk's end.
   */
  async importChunk(
    chunkId: string,
    updates: readonly BatchUpdate[],
    options: ChunkOptions = {},
  ): Promise<BatchResult> {
    const key = { key: checkKey(chunkId), keyHeader: 'tallyd-import-chunk' } as const;
    const read = (answer: Answer) => chunkOf(answer, updates.length);
    const { after, places } = checkOptions(options, 'chunk');
    const headers = {
      ...(after !== undefined && { 'tallyd-import-after': checkKey(after) }),
      ...(places !== undefined && { 'tallyd-import-places': places.map(checkKey).join(',') }),
    };
    return this.#caller.call({ ...this.#batch(updates, options), ...key, headers, read });
  }

  async info(options: CallOptions = {}): Promise<ServerInfo> {
    return this.#read('/v1/info', checkOptions(options, 'call'), infoOf);
  }

  /** Writes a snapshot and drops the journal that it replaces. A large one takes longer than the default time limit. */
  async snapshot(options: CallOptions = {}): Promise<SnapshotSummary> {
    const limits = this.#limits(checkOptions(options, 'call'));
    const path = '/v1/snapshot';
    return this.#caller.call({ ...limits, method: 'POST', path, names: [], key: undefined, read: snapshotOf });
  }

  async #adjustInBatch(name: string, by: Count, options: AdjustOptions): Promise<Adjustment> {
    const { subtract = false, timeoutMs, signal, idempotencyKey, ...bounds } = options;
    const amount = BigInt(countText(by, 'by'));
    const update = { ...bounds, name, by: subtract ? -amount : amount };
    const { outcomes, replayed } = await this.batch([update], { timeoutMs, signal, idempotencyKey });
    const [outcome] = outcomes;
    if (outcome?.outcome === 'done') {
      const { value, own, applied } = outcome;
      return { value, ...(own !== undefined && { own }), applied, replayed };
    }
    throw new RefusedError(outcome?.code ?? 'bad_answer', outcome?.detail ?? 'the answer has no outcome', outcome);
  }

  async #setDeadline(name: string, ttl: number | null, options: UpdateOptions): Promise<boolean> {
    const path = `${counterPath(name)}/ttl`;
    const read = (answer: Answer) => timeToLiveOf(answer).exists;
    return this.#update('PUT', name, path, { ttl }, checkOptions(options, 'update'), read);
  }

  async #readOne(name: string, options: CallOptions): Promise<Reading> {
    const [reading] = await this.read([name], options);
    if (reading === undefined) throw new RefusedError('bad_answer', 'the answer has no counter in it');
    return reading;
  }

  #page(cursor: string | undefined, options: ListOptions): Promise<Page> {
    const query = new URLSearchParams({ limit: String(options.pageSize ?? PAGE_SIZE) });
    if (options.match !== undefined) query.set('match', options.match);
    if (cursor !== undefined) query.set('cursor', cursor);
    return this.#read(`/v1/counters?${query}`, options, pageOf);
  }

  #read<T>(path: string, options: CallOptions, read: (answer: Answer) => T, names: readonly string[] = []): Promise<T> {
    return this.#caller.call({ ...this.#limits(options), method: 'GET', path, names, key: undefined, read });
  }

  #update<T>(
    method: 'PUT' | 'POST' | 'DELETE',
    name: string,
    path: string,
    body: Record<string, unknown> | undefined,
    options: UpdateOptions,
    read: (answer: Answer) => T,
  ): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const names = [name];
    return this.#caller.call({
      ...this.#limits(options),
      method,
      path,
      names,
      body: text,
      ...this.#keyOf(options),
      read,
    });
  }

  #batch(updates: readonly BatchUpdate[], options: BatchOptions) {
    return {
      ...this.#limits(options),
      method: 'POST',
      path: options.atomic === true ? '/v1/batch?atomic=true' : '/v1/batch',
      names: updates.map(({ name }) => name),
      body: updates.map(lineOf).join(''),
      contentType: 'application/x-ndjson',
    } as const;
  }

  #limits(options: CallOptions): { timeoutMs: number; signal: AbortSignal | undefined } {
    const timeoutMs = options.timeoutMs === undefined ? this.#timeoutMs : checkTimeout(options.timeoutMs);
    return { timeoutMs, signal: options.signal };
  }

  #keyOf({ idempotencyKey }: UpdateOptions): { key: string; keyIsCallers: boolean } {
    if (idempotencyKey === undefined) return { key: this.#caller.freshKey(), keyIsCallers: false };
    return { key: checkKey(idempotencyKey), keyIsCallers: true };
  }
}

/** @throws RefusedError invalid_name, for `.` and `..` too: no URL can carry them as a segment of its path. */
function counterPath(name: string): string {
  if (fitsPath(checkName(name))) return `/v1/counters/${encodeURIComponent(name)}`;
  throw new RefusedError('invalid_name', `the name '${name}' can be incremented and read over HTTP, but nothing else`);
}

/** An update as one line of NDJSON. What is undefined is left out. */
function lineOf(update: BatchUpdate): string {
  checkOptions(update, 'entry');
  const by = update.by === undefined ? undefined : countText(update.by, 'by');
  return `${JSON.stringify({ name: update.name, by, ...boundsOf(update), id: update.id, at: update.at })}\n`;
}

function boundsOf(update: BatchUpdate | IncrementOptions) {
  return {
    floor: update.floor === undefined ? undefined : countText(update.floor, 'floor'),
    ceiling: update.ceiling === undefined ? undefined : countText(update.ceiling, 'ceiling'),
    saturate: update.saturate,
    ttl: wholeSeconds(update.ttlSeconds),
    ttlIfNone: update.ttlIfNone,
  };
}
