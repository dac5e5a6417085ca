/**
 * The calls of an embedded Tallyd. Two kinds:
 * - `add` is synchronous and void: it counts at once or throws, and `flush` resolves when everything added before is
 *   durable. Reads in between wait for the disk, so they never show what a crash could take back.
 * - everything else is a promise that resolves when its result is durable, as the durability mode requires.
 *
 * Every call ends: if a disk does not answer, the journal fails after its time limit, and pending calls reject with
 * `outcome_unknown`.
 */
import { Chunk, type DeadlineChange, Flag, Op } from '../counter/chunk.ts';
import { CountingError, DONE, type ErrorCode, errorCode } from '../counter/errors.ts';
import { BATCH_ENTRIES_MAX } from '../counter/limits.ts';
import type { ServiceInfo, SnapshotSummary } from '../counter/service.ts';
import { Additions, Handle } from './additions.ts';
import { type Count, checkedCount, checkedName, closed, refusal } from './arguments.ts';
import type { OwnedEngine } from './open-engine.ts';
import { systemCode } from './start-error.ts';
import {
  type BatchOptions,
  type BatchUpdate,
  batchKey,
  deadlineIn,
  type ListOptions,
  listOptions,
  negated,
  pushIncrement,
  pushUpdate,
  type SetOptions,
  setOptions,
  type UpdateOptions,
} from './update-options.ts';

/** The outcome of one update of a batch: `error` if it was refused. */
export interface BatchOutcome {
  readonly name: string;
  /** The new count; with an error that is a bound's or an overflow, the count as it stays. */
  readonly value?: bigint;
  readonly error?: ErrorCode;
  /** Refused by a bound: seconds until the counter expires, rounded up; undefined when it does not. */
  readonly ttlSeconds?: number;
}

export interface Listed {
  readonly name: string;
  readonly value: bigint;
  /** When it will be deleted, Unix ms. */
  readonly deadlineMs: number | undefined;
}

/** A handle for one counter of a tally. */
export interface CounterHandle {
  readonly name: string;
  add(by?: Count): void;
  increment(by?: Count, options?: UpdateOptions): Promise<bigint>;
  get(): Promise<bigint>;
}

const LIST_PAGE_ENTRIES = 1_000;
const KEEP_ALIVE_MS = 60_000;

export class Tally implements AsyncDisposable {
  readonly #owned: OwnedEngine;
  readonly #additions: Additions;
  #closing: Promise<void> | undefined;

  /** Internal: called by `open`. */
  constructor(owned: OwnedEngine) {
    this.#owned = owned;
    this.#additions = new Additions(owned.engine);
  }

  /**
   * Counts at once, without waiting for the disk; `flush` resolves when it is durable.
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
    pushIncrement(chunk, name, by, options);
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.valueAt(0);
  }

  /** Subtracts and resolves to the new count. @throws CountingError as `increment` */
  async decrement(name: string, by: Count = 1, options: UpdateOptions = {}): Promise<bigint> {
    const chunk = new Chunk(1);
    pushIncrement(chunk, name, negated(by), options);
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.valueAt(0);
  }

  /**
   * Sets the count, which removes a deadline unless `ttlSeconds` gives one; resolves to the count before.
   * @throws CountingError as `increment`
   */
  async set(name: string, value: Count, options: SetOptions = {}): Promise<bigint> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.set, checkedName(name), checkedCount(value), setOptions(options));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.otherAt(0);
  }

  /** Sets the count to 0; resolves to the count before. @throws CountingError as `increment` */
  async reset(name: string): Promise<bigint> {
    return this.set(name, 0);
  }

  /** Whether the counter exists. @throws CountingError invalid_name, unavailable */
  async exists(name: string): Promise<boolean> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.get, checkedName(name));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.hasFlag(0, Flag.existed);
  }

  /** Deletes the counter; resolves to whether it existed. @throws CountingError as `increment` */
  async delete(name: string): Promise<boolean> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.delete, checkedName(name));
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.hasFlag(0, Flag.existed);
  }

  /**
   * Lets the counter be deleted after `ttlSeconds`; resolves to whether it exists.
   * @throws CountingError as `increment`, invalid_deadline
   */
  async expire(name: string, ttlSeconds: number): Promise<boolean> {
    return this.#setDeadline(name, deadlineIn(ttlSeconds));
  }

  /** Removes the counter's deadline; resolves to whether it exists. @throws CountingError as `increment` */
  async persist(name: string): Promise<boolean> {
    return this.#setDeadline(name, { kind: 'persist' });
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
    chunk.key = batchKey(updates, options);
    await this.#run(chunk);
    return updates.map(({ name }, at) => {
      const code = chunk.code[at];
      if (code === DONE) return { name, value: chunk.valueAt(at) };
      const { value, ttlMs } = chunk.standing(at) ?? {};
      const ttlSeconds = ttlMs === undefined ? undefined : Math.ceil(ttlMs / 1000);
      return {
        name,
        error: errorCode(code),
        ...(value !== undefined && { value }),
        ...(ttlSeconds !== undefined && { ttlSeconds }),
      };
    });
  }

  /**
   * All counters, or those whose names match a Redis-style pattern, in no particular order. A counter that exists
   * all the time comes exactly once. @throws CountingError unavailable
   */
  async *list(options: ListOptions = {}): AsyncGenerator<Listed, void, undefined> {
    const { match } = listOptions(options);
    let cursor: string | undefined;
    do {
      if (this.#closing !== undefined) throw closed();
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
  async snapshot(): Promise<SnapshotSummary> {
    if (this.#closing !== undefined) throw closed();
    this.#additions.settle();
    return this.#owned.engine.snapshot();
  }

  info(): ServiceInfo {
    this.#additions.settle();
    return this.#owned.engine.info();
  }

  /**
   * Waits until everything added is durable and releases the directory. Later calls are refused.
   * @throws CountingError outcome_unknown when the disk failed until the end, so that something added may be lost;
   *   overflow when an add that had returned did not count for that, and no flush has said so
   */
  close(): Promise<void> {
    this.#additions.settle();
    if (this.#closing !== undefined) return this.#closing;
    // Nothing else keeps the process alive between attempts to repair the journal, and if it ended then the loss would
    // go unreported.
    const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
    this.#closing = this.#close().finally(() => clearInterval(alive));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { engine, ownership } = this.#owned;
    try {
      await engine.close();
    } finally {
      await ownership.release().catch((error: unknown) => {
        // How much is durable matters more than that owner.json does not say so: only another host would ask for
        // --take-over.
        if (systemCode(error) === undefined) throw error;
      });
    }
    this.#additions.throwRefusal();
  }

  async #setDeadline(name: string, deadline: DeadlineChange): Promise<boolean> {
    const chunk = new Chunk(1);
    chunk.pushName(Op.expire, checkedName(name), 0n, { deadline });
    await this.#run(chunk);
    throwOutcome(chunk, 0);
    return chunk.hasFlag(0, Flag.existed);
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

function checkedEntries(count: number): number {
  if (count > BATCH_ENTRIES_MAX) throw new CountingError('atomic_too_large');
  return Math.max(count, 1);
}

/** Throws when the chunk as a whole was refused or is unknown. */
function throwRefusal(chunk: Chunk): void {
  if (chunk.refusal === DONE) return;
  const { retryAfterMs } = chunk;
  throw refusal(chunk.refusal, retryAfterMs > 0 ? { retryAfterMs } : {});
}

function throwOutcome(chunk: Chunk, at: number): void {
  if (chunk.code[at] !== DONE) throw refusal(chunk.code[at], chunk.standing(at));
}
