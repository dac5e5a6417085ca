/**
 * Sends slots to the store: changes from the durable stream are combined, so that a thousand increments between two
 * flushes are one slot, and are sent until the store has confirmed them.
 *
 * Invariants:
 * - Only durable slots come in here, so nothing leaves the replica before it is durable.
 * - `#pending` and `#underWay` hold, for every slot that the store has not confirmed as it stands, its newest state; so
 *   they are bounded by the counters that the replica holds, and an unreachable store costs nothing more.
 * - Everything with a version up to `confirmedThrough` has been confirmed, and the store has it still, as far as is
 *   known: that falls to 0 when the store may have lost something, until `reassertion.ts` has brought it back.
 */
import type { Clock, Host } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { type NamedCut, type NamedSlot, type SlotStore, StoreError } from '../store/slot-store.ts';
import { Backoff, Pauses } from './pause.ts';
import { SlotMap } from './slot-map.ts';
import { COUNTER_STEPS, type Turns } from './turns.ts';

/** Slots per call, adapted between these: a call should take about as long as the pause between two flushes. */
const BATCH_SLOTS_MIN = 50;
/**
 * Below this only failures go: a busy machine makes small calls as slow as large ones, and many of them slower still.
 */
const BATCH_SLOTS_SLOW = 1_000;
const BATCH_SLOTS_MAX = 5_000;
const CALL_MS_WANTED = 50;
/** A slow call is followed by an equally long pause, up to this: the slower the store, the more is combined. */
const PAUSE_MS_MAX = 200;
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 2_000;

interface Waiter {
  readonly version: bigint;
  readonly end: (isConfirmed: boolean) => void;
}

export interface PublisherOptions {
  /** What an earlier process had brought there under the same id. */
  readonly confirmedThrough: bigint;
  readonly store: SlotStore;
  readonly host: Host;
  readonly flushMs: number;
  /** Makes everything that was applied durable, in every durability mode. Rejects if the journal fails. */
  readonly flushJournal: () => Promise<void>;
  readonly turns: Turns;
  /** The newest group that the durable stream has brought. */
  readonly durableVersion: () => bigint;
  /** Resolves to whether slots may be published now: the lease is held. */
  readonly mayPublish: () => Promise<boolean>;
  /** Called when a call fails, and when one succeeds after that. */
  readonly failed: (error: unknown) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #pauses: Pauses;
  #pending = new SlotMap();
  #underWay = new SlotMap();
  readonly #cuts = new Map<string, NamedCut>();
  readonly #waiters: Waiter[] = [];
  #batchSlots = 1_000;
  #confirmedThrough = 0n;
  /** Of this process alone: the position of the last confirmation, which no doubt takes back. */
  #lastConfirmed = 0n;
  #isClosed = false;
  #isHurried = false;
  #isResting = false;
  /** Something was counted that the journal may still gather. */
  #isGathering = false;
  #isDoubted = false;
  #isAssured = true;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #calls = 0;
  #slotsSent = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#confirmedThrough = options.confirmedThrough;
    this.#clock = options.host.clock;
    this.#pauses = new Pauses(this.#clock);
    this.#backoff = new Backoff(options.host.random, RETRY_MS_MIN, RETRY_MS_MAX);
  }

  /** Everything with a version up to this has been confirmed. */
  get confirmedThrough(): bigint {
    return this.#confirmedThrough;
  }

  /** Slots and cuts that are not confirmed. */
  get backlog(): number {
    return this.#pending.size + this.#underWay.size + this.#cuts.size;
  }

  /** Calls of the store, and slots in them, since the start. */
  get traffic(): { readonly calls: number; readonly slots: number } {
    return { calls: this.#calls, slots: this.#slotsSent };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** A slot's newest state. */
  put(slot: NamedSlot): void {
    this.#pending.put(slot);
    this.#wake?.();
  }

  /** Something was counted, and the journal syncs when it sees fit: with the next flush it has to. */
  gathered(): void {
    this.#isGathering = true;
    this.#wake?.();
  }

  /** The store may have lost what it had confirmed: nothing counts as confirmed until that has come in here again. */
  doubt(): void {
    this.#isDoubted = true;
    this.#isAssured = false;
    this.#confirmedThrough = 0n;
  }

  /** Whether nothing that the store may have lost waits for its confirmation. */
  get isAssured(): boolean {
    return this.#isAssured;
  }

  /** It has. */
  reasserted(): void {
    this.#isDoubted = false;
    this.gathered();
  }

  /** A cut that must be sent to the store again. */
  putCut(named: NamedCut): void {
    this.#cuts.set(named.name, named);
    this.#wake?.();
  }

  /** Whether the store has yet to confirm anything of this counter. */
  isUnconfirmed(name: string): boolean {
    return this.#cuts.has(name) || this.#pending.hasName(name) || this.#underWay.hasName(name);
  }

  /**
   * Sends everything pending without waiting for the next flush. @returns whether all of it was confirmed before
   * `timeoutMs` had passed, or this was closed
   */
  async flush(timeoutMs: number): Promise<boolean> {
    await this.#options.flushJournal();
    const version = this.#options.durableVersion();
    if (this.#confirmedThrough >= version) return true;
    if (this.#isClosed) return false;
    this.#isHurried = true;
    if (this.#isResting) this.#pauses.skip();
    return new Promise((resolve) => {
      const timer = this.#clock.schedule(timeoutMs, () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        resolve(false);
      });
      const waiter: Waiter = {
        version,
        end: (isConfirmed) => {
          timer.cancel();
          resolve(isConfirmed);
        },
      };
      this.#waiters.push(waiter);
      this.#wake?.();
    });
  }

  /** Ends after the running call; confirmations are no longer awaited. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { end } of this.#waiters.splice(0)) end(false);
    this.#pauses.end();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      if (this.#isIdle) await this.#sleep();
      if (this.#isClosed) break;
      const sinceMs = this.#clock.monotonicMs();
      const isDone = await this.#publish();
      if (!isDone) await this.#pauses.take(this.#backoff.next());
      else if (!this.#isHurried) await this.#rest(this.#clock.monotonicMs() - sinceMs);
      this.#isHurried = false;
    }
  }

  get #isIdle(): boolean {
    const hasNothing = this.backlog === 0 && (this.#isAssured || this.#isDoubted);
    return hasNothing && this.#waiters.length === 0 && !this.#isGathering;
  }

  /** Until the next flush, or until an early flush is requested. */
  async #rest(tookMs: number): Promise<void> {
    this.#isResting = true;
    await this.#pauses.take(Math.max(this.#options.flushMs, Math.min(tookMs, PAUSE_MS_MAX)));
    this.#isResting = false;
  }

  async #sleep(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** Sends everything that is pending now. @returns false if something must be sent again. */
  async #publish(): Promise<boolean> {
    try {
      this.#isGathering = false;
      await this.#options.flushJournal();
      const version = this.#options.durableVersion();
      if (!(await this.#options.mayPublish())) return false;
      const isDoubted = this.#isDoubted;
      await this.#sendSlots();
      await this.#sendCuts();
      if (!isDoubted && !this.#isDoubted) this.#confirm(version);
      this.#backoff.reset();
      return true;
    } catch (error) {
      if (error instanceof StoreError) this.#batchSlots = Math.max(BATCH_SLOTS_MIN, this.#batchSlots >> 1);
      this.#options.failed(error);
      return false;
    }
  }

  async #sendSlots(): Promise<void> {
    // What a call that failed has left comes first; of slots that have changed since that is sent once more than
    // needed.
    while (this.#underWay.size > 0) await this.#sendBatch();
    [this.#underWay, this.#pending] = [this.#pending, this.#underWay];
    while (this.#underWay.size > 0) await this.#sendBatch();
  }

  async #sendBatch(): Promise<void> {
    await this.#options.turns.turn(Math.min(this.#batchSlots, this.#underWay.size) * COUNTER_STEPS);
    const slots: NamedSlot[] = [];
    for (const slot of this.#underWay.values()) {
      if (slots.length === this.#batchSlots) break;
      slots.push(slot);
    }
    const sinceMs = this.#clock.monotonicMs();
    this.#calls++;
    this.#slotsSent += slots.length;
    await this.#options.store.merge({ slots, cuts: [] });
    const isSlow = this.#clock.monotonicMs() - sinceMs > CALL_MS_WANTED;
    if (isSlow) this.#batchSlots = Math.max(Math.min(BATCH_SLOTS_SLOW, this.#batchSlots), this.#batchSlots >> 1);
    else if (slots.length === this.#batchSlots) this.#batchSlots = Math.min(BATCH_SLOTS_MAX, this.#batchSlots * 2);
    for (const slot of slots) this.#underWay.delete(slot);
  }

  async #sendCuts(): Promise<void> {
    const all = [...this.#cuts.values()];
    for (let from = 0; from < all.length; from += this.#batchSlots) {
      const cuts = all.slice(from, from + this.#batchSlots);
      this.#calls++;
      await this.#options.store.merge({ slots: [], cuts });
      for (const named of cuts) if (this.#cuts.get(named.name) === named) this.#cuts.delete(named.name);
    }
  }

  #confirm(version: bigint): void {
    assert(version >= this.#lastConfirmed, 'the confirmed position grows');
    this.#lastConfirmed = version;
    this.#isAssured = true;
    if (version > this.#confirmedThrough) this.#confirmedThrough = version;
    const waiting = this.#waiters.splice(0);
    for (const waiter of waiting) {
      if (waiter.version <= this.#confirmedThrough) waiter.end(true);
      else this.#waiters.push(waiter);
    }
  }
}
