/**
 * The calls of an embedded Tallyd. Two kinds:
 * - `add` is synchronous and void: it counts at once or throws why not, and `flush` tells when everything added
 *   before is durable. Reads in between wait for the disk, so nobody sees what a crash could take back.
 * - everything else is a promise that resolves when what it tells is durable, as the durability mode asks.
 *
 * Every call ends: a disk that does not answer makes the journal fail after its deadline, and what was under way
 * rejects with `outcome_unknown`.
 */
import { createHash } from 'node:crypto';
import {
  Chunk,
  type CommandOptions,
  type DeadlineChange,
  Flag,
  type IdempotencyKey,
  Op,
  type Standing,
} from '../counter/chunk.ts';
import { CountingError, DONE, type ErrorCode, errorCode } from '../counter/errors.ts';
import { BATCH_ENTRIES_MAX, IDEMPOTENCY_KEY_BYTES_MAX } from '../counter/limits.ts';
import type { ServiceInfo, SnapshotSummary } from '../counter/service.ts';
import { Additions, Handle } from './additions.ts';
import { type Count, checkedCount, checkedName } from './arguments.ts';
import type { OwnedEngine } from './open-engine.ts';

export interface UpdateOptions {
  /** Refuse when the result would be below. */
  readonly floor?: Count;
  /** Refuse when the result would be above. */
  readonly ceiling?: Count;
  /** At a bound apply what fits instead of refusing. */
  readonly saturate?: boolean;
  /** The counter is deleted after this time, in ms. */
  readonly ttlMs?: number;
  /** `ttlMs` counts only when the counter has no deadline yet: a window that does not move. */
  readonly ttlIfNone?: boolean;
  /** The same key again counts nothing and answers the same; with another update it is refused. */
  readonly idempotencyKey?: string;
}

export interface BatchUpdate extends UpdateOptions {
  readonly name: string;
  readonly by?: Count;
}

export interface BatchOptions {
  /** All or nothing: when one update is refused, none is applied. */
  readonly atomic?: boolean;
  /** Covers the whole batch. */
  readonly idempotencyKey?: string;
}

/** What became of one update of a batch: `value` when it was done, otherwise `error`. */
export interface BatchOutcome {
  readonly name: string;
  readonly value?: bigint;
  readonly error?: ErrorCode;
  /** With an error that is a bound's or an overflow: the counter as it stays. */
  readonly standing?: Standing;
}

export interface Listed {
  readonly name: string;
  readonly value: bigint;
  /** When it will be deleted, Unix ms. */
  readonly deadlineMs: number | undefined;
}

/** One counter of a tally, without naming it every time. */
export interface CounterHandle {
  readonly name: string;
  add(by?: Count): void;
  increment(by?: Count, options?: UpdateOptions): Promise<bigint>;
  get(): Promise<bigint>;
}

const LIST_PAGE_ENTRIES = 1_000;

export class Tally implements AsyncDisposable {
  readonly #owned: OwnedEngine;
  readonly #additions: Additions;
  #closing: Promise<void> | undefined;

  /** Not to be called: `open` does. */
  constructor(owned: OwnedEngine) {
    this.#owned = owned;
    this.#additions = new Additions(owned.engine);
  }

  /**
   * Counts at once, without waiting for the disk; `flush` tells when it is durable.
   * @throws CountingError overflow, below_floor, above_ceiling, invalid_name, invalid_number, too_many_counters,
   *   unavailable, shutting_down: nothing was counted; overloaded: nothing was counted, `await flush()` first
   */
  add(name: string, by: Count = 1): void {
    this.#additions.add(name, by);
  }

  /**
   * Resolves when everything added before is durable, in every durability mode.
   * @throws CountingError outcome_unknown when the journal fails on it: it may or may not count; get() tells when
   *   the disk works again; overflow when an add that had returned already did not count for that
   */
  async flush(): Promise<void> {
    this.#additions.settle();
    await this.#owned.engine.flush();
    this.#additions.throwRefusal();
  }

  /** The count, 0 for a counter that does not exist. @throws CountingError invalid_name, unavailable */
  async get(name: string): Promise<bigint> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.get, checkedName(name));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.valueAt(0);
  }

  /** The counts, in the order of the names. @throws CountingError invalid_name, unavailable */
  async getMany(names: readonly string[]): Promise<bigint[]> {
    const chunk = new Chunk(checkedEntries(names.length));
    for (const name of names) chunk.pushName(Op.get, checkedName(name));
    await this.#run(chunk);
    return names.map((_name, at) => {
      throwOutcome(chunk, at);
      return chunk.valueAt(at);
    });
  }

  /**
   * Adds and resolves to the new count.
   * @throws CountingError the codes of `add`, idempotency_*, outcome_unknown
   */
  async increment(name: string, by: Count = 1, options: UpdateOptions = {}): Promise<bigint> {
    const chunk = new Chunk(1);
    pushUpdate(chunk, { ...options, name, by });
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.valueAt(0);
  }

  /**
   * Sets the count, which removes a deadline unless `ttlMs` gives one; resolves to the count before.
   * @throws CountingError as `increment`
   */
  async set(name: string, value: Count, options: { readonly ttlMs?: number } = {}): Promise<bigint> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.set, checkedName(name), checkedCount(value), commandOptions(options));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.otherAt(0);
  }

  /** Resolves to whether the counter was there. @throws CountingError as `increment` */
  async delete(name: string): Promise<boolean> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.delete, checkedName(name));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.hasFlag(0, Flag.existed);
  }

  /**
   * Lets the counter be deleted after `ttlMs`, or never with `undefined`; resolves to whether it exists.
   * @throws CountingError as `increment`, invalid_deadline
   */
  async expire(name: string, ttlMs: number | undefined): Promise<boolean> {
    const chunk = new Chunk(1);
    const deadline = ttlMs === undefined ? ({ kind: 'persist' } as const) : deadlineIn(ttlMs);
    chunk.pushName(Op.expire, checkedName(name), 0n, { deadline });
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.hasFlag(0, Flag.existed);
  }

  /** When the counter will be deleted, Unix ms; undefined: never, or it does not exist. */
  async deadline(name: string): Promise<number | undefined> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.deadline, checkedName(name));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    const unixMs = Number(chunk.valueAt(0));
    return chunk.hasFlag(0, Flag.existed) && unixMs >= 0 ? unixMs : undefined;
  }

  /**
   * Applies up to 10 000 updates in order, durable together; each has its own outcome, in the same order.
   * @throws CountingError when none was applied because of the batch as a whole (its key, or too large), and
   *   outcome_unknown
   */
  async batch(updates: readonly BatchUpdate[], options: BatchOptions = {}): Promise<BatchOutcome[]> {
    const chunk = new Chunk(checkedEntries(updates.length));
    for (const update of updates) pushUpdate(chunk, update);
    chunk.atomic = options.atomic ?? false;
    chunk.key = idempotencyKey(options.idempotencyKey, [updates, chunk.atomic]);
    await this.#run(chunk);
    return updates.map(({ name }, at) => {
      const code = chunk.code[at];
      if (code === DONE) return { name, value: chunk.valueAt(at) };
      const standing = chunk.standing(at);
      return { name, error: errorCode(code), ...(standing && { standing }) };
    });
  }

  /**
   * All counters, or those whose names match a Redis-style pattern, in no particular order. A counter that exists
   * all the time comes exactly once. @throws CountingError unavailable
   */
  async *list(match?: string): AsyncGenerator<Listed, void, undefined> {
    let cursor: string | undefined;
    do {
      this.#additions.settle();
      const page = await this.#owned.engine.scan({ cursor, match, count: LIST_PAGE_ENTRIES });
      for (const { name, value, deadlineMs } of page.entries) yield { name, value, deadlineMs };
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** @throws CountingError invalid_name */
  counter(name: string): CounterHandle {
    const handle = new Handle(checkedName(name));
    return {
      name,
      add: (by = 1) => this.#additions.addTo(handle, by),
      increment: (by, options) => this.increment(name, by, options),
      get: () => this.get(name),
    };
  }

  /** Writes a snapshot and drops the journal that it replaces. @throws CountingError unavailable */
  snapshot(): Promise<SnapshotSummary> {
    this.#additions.settle();
    return this.#owned.engine.snapshot();
  }

  info(): ServiceInfo {
    this.#additions.settle();
    return this.#owned.engine.info();
  }

  /**
   * Waits until everything added is durable and gives the directory away. What is called later is refused.
   * @throws CountingError outcome_unknown when the disk failed until the end, so that something added may be lost; overflow
   *   when an add that had returned did not count for that, and no flush has said so
   */
  close(): Promise<void> {
    this.#additions.settle();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { engine, ownership } = this.#owned;
    try {
      await engine.close();
    } catch (error) {
      await ownership.release().catch(() => {
        // That not everything is durable matters more than what owner.json says.
      });
      throw error;
    }
    await ownership.release();
    this.#additions.throwRefusal();
  }

  async #run(chunk: Chunk): Promise<void> {
    this.#additions.settle();
    await new Promise<void>((resolve) => {
      chunk.complete = resolve;
      this.#owned.engine.submit(chunk);
    });
    throwRefusal(chunk);
  }
}

function pushUpdate(chunk: Chunk, update: BatchUpdate): void {
  const { name, by = 1 } = update;
  chunk.pushName(Op.add, checkedName(name), checkedCount(by), commandOptions(update, [name, by]));
}

/** @param request what an idempotency key stands for besides the options */
function commandOptions(options: UpdateOptions, request?: readonly unknown[]): CommandOptions | undefined {
  const { floor, ceiling, saturate, ttlMs, ttlIfNone = false, idempotencyKey: key } = options;
  if (ttlIfNone && ttlMs === undefined) throw new CountingError('invalid_deadline', 'ttlIfNone needs a ttlMs');
  if (floor === undefined && ceiling === undefined && !saturate && ttlMs === undefined && key === undefined) {
    return undefined;
  }
  return {
    floor: floor === undefined ? undefined : checkedCount(floor),
    ceiling: ceiling === undefined ? undefined : checkedCount(ceiling),
    saturate,
    deadline: ttlMs === undefined ? undefined : deadlineIn(ttlMs),
    deadlineOnlyIf: ttlIfNone ? 'none' : undefined,
    // Records of earlier versions have no more than the first five.
    id: idempotencyKey(key, [request, floor, ceiling, saturate, ttlMs, ...(ttlIfNone ? ['none'] : [])]),
  };
}

/** @param request all that makes it the same request again */
function idempotencyKey(key: string | undefined, request: readonly unknown[]): IdempotencyKey | undefined {
  if (key === undefined) return undefined;
  if (!/^[\x20-\x7e]+$/.test(key) || key.length > IDEMPOTENCY_KEY_BYTES_MAX) {
    throw new CountingError('invalid_idempotency_key');
  }
  // 1 and 1n are the same count.
  const text = JSON.stringify(request, (_field, value: unknown) =>
    typeof value === 'bigint' || typeof value === 'number' ? `${value}` : value,
  );
  return { scope: 'request', key, fingerprint: createHash('sha256').update(text).digest('hex').slice(0, 32) };
}

/** Stricter than the engine, which deletes a counter whose time is over already, as Redis does. */
function deadlineIn(ms: number): DeadlineChange {
  if (!Number.isSafeInteger(ms) || ms < 1) throw new CountingError('invalid_deadline');
  return { kind: 'in', ms };
}

function checkedEntries(count: number): number {
  if (count > BATCH_ENTRIES_MAX) throw new CountingError('atomic_too_large');
  return Math.max(count, 1);
}

/** Throws when the chunk as a whole was refused or is unknown. */
function throwRefusal(chunk: Chunk): void {
  if (chunk.refusal === DONE) return;
  const { retryAfterMs } = chunk;
  throw new CountingError(errorCode(chunk.refusal), undefined, retryAfterMs > 0 ? { retryAfterMs } : {});
}

function throwOutcome(chunk: Chunk, at: number): void {
  if (chunk.code[at] !== DONE) throw new CountingError(errorCode(chunk.code[at]), undefined, chunk.standing(at));
}
