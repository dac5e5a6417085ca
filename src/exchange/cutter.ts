/**
 * Set, reset and delete of shared counters: one more cut, made by compare-and-set in the store, which decides between
 * replicas that cut at once. This replica's own counts are sent first. Counts that others have not published yet, or
 * that are made meanwhile, survive the cut.
 *
 * Invariants:
 * - A cut follows everything known here, whether the store has it or not. If the store has gone back unnoticed, this
 *   replica's earlier cuts and slots, which it sends again, no longer change anything.
 * - It replaces the store's cut: no cut is made if another replica has made one since, or if the store's term has
 *   changed.
 */
import { CountingError } from '../counter/errors.ts';
import { clampInt64 } from '../counter/int64.ts';
import { type Cut, remove, reset, total } from '../crdt/cut.ts';
import { type CounterState, exists, merge } from '../crdt/merge.ts';
import type { Host } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { type ReplicaId, type SlotStore, StoreError } from '../store/slot-store.ts';
import { newId } from './identity.ts';
import { Backoff, pause } from './pause.ts';

const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 200;

export interface CutterOptions {
  readonly store: SlotStore;
  readonly host: Host;
  /** The cuts of one call end within this, ms. */
  readonly timeoutMs: number;
  readonly replica: () => ReplicaId;
  /**
   * Sends the counts made here to the store, and waits until it has all that the others know. @returns whether that
   * succeeded in time
   */
  readonly publish: (timeoutMs: number) => Promise<boolean>;
  /** Whether the store is known to have everything that it had confirmed. */
  readonly isWhole: () => boolean;
  /** Receives the store's state. @returns all that is known here */
  readonly learned: (name: string, state: CounterState<ReplicaId>) => CounterState<ReplicaId>;
  /** Writes what was learned to disk, too, as the durability mode requires. A failed write is retried. */
  readonly keep: () => Promise<void>;
}

/** The cut to make; undefined: none, the state stays. */
type Decision = (state: CounterState<ReplicaId>) => Cut<ReplicaId> | undefined;

export interface CutOutcome {
  readonly existed: boolean;
  readonly before: bigint;
  readonly isChanged: boolean;
}

/** Shared state of the cuts of one call. */
export interface CutCall {
  /** By the monotonic clock. */
  readonly endMs: number;
  /** Earlier counts made here have reached the store. */
  isPublished: boolean;
  /** At least one cut was made. */
  hasCut: boolean;
}

interface Attempt {
  readonly expectedVersion: bigint;
  readonly cut: Cut<ReplicaId>;
  readonly outcome: CutOutcome;
  /** It may still be made, or was made and has been replaced. */
  isOpen: boolean;
}

export class Cutter {
  readonly #options: CutterOptions;
  #isStopped = false;

  constructor(options: CutterOptions) {
    this.#options = options;
  }

  /** Pending cuts are not retried. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Call before the answer: then the cut survives a crash together with a store that goes back. */
  async end({ hasCut }: CutCall): Promise<void> {
    if (hasCut) await this.#options.keep();
  }

  /** The cuts of one call, one after the other. */
  begin(): CutCall {
    return {
      endMs: this.#options.host.clock.monotonicMs() + this.#options.timeoutMs,
      isPublished: false,
      hasCut: false,
    };
  }

  /**
   * Sets the value, if `onlyIf` holds.
   * @throws CountingError store_away, store_damaged: nothing was changed; outcome_unknown
   */
  set(call: CutCall, name: string, value: bigint, onlyIf: 'exists' | 'absent' | undefined): Promise<CutOutcome> {
    return this.#cut(call, name, (state) => {
      if (onlyIf !== undefined && (onlyIf === 'exists') !== exists(state)) return undefined;
      return reset(state.slots, state.cut, this.#author(), value, this.#options.host.clock.nowMs());
    });
  }

  /** Deletes the counter if it exists. @throws as `set` */
  delete(call: CutCall, name: string): Promise<CutOutcome> {
    return this.#cut(call, name, (state) => {
      if (!exists(state)) return undefined;
      return remove(state.slots, state.cut, this.#author(), this.#options.host.clock.nowMs());
    });
  }

  async #cut(call: CutCall, name: string, decide: Decision): Promise<CutOutcome> {
    const { host } = this.#options;
    const backoff = new Backoff(host.random, RETRY_MS_MIN, RETRY_MS_MAX);
    /** Requested, and perhaps made: answers get lost, calls arrive late, or twice with only the second one answered. */
    const asked: Attempt[] = [];
    const isOpen = (): boolean => asked.some((attempt) => attempt.isOpen);
    while (!this.#isStopped && (await this.#isPublished(call, isOpen))) {
      try {
        const { stored, known } = await this.#read(name);
        const made = asked.find(({ cut }) => isMade(cut, stored));
        call.hasCut ||= made !== undefined;
        if (made !== undefined) return made.outcome;
        // A newer cut exists, and ours may have been made before it: this can no longer be determined.
        if (asked.some((attempt) => attempt.isOpen && attempt.cut.version < stored.version)) break;
        // It was not made on top of another one, and no longer can be.
        for (const attempt of asked) attempt.isOpen &&= attempt.expectedVersion === stored.version;
        // The store has gone back, and does not yet have everything needed to decide.
        call.isPublished &&= this.#options.isWhole();
        if (!call.isPublished) continue;
        const next = decide(known);
        // A cut can repair a sum that has left 64 bits.
        const before = clampInt64(total(known.slots, known.cut));
        const outcome = { existed: exists(known), before, isChanged: next !== undefined };
        if (next === undefined) {
          // Not now; but an earlier request may still arrive.
          if (isOpen()) break;
          return outcome;
        }
        assert(next.version > stored.version, 'a cut follows the one that it replaces');
        const attempt = { expectedVersion: stored.version, cut: next, outcome, isOpen: true };
        asked.push(attempt);
        if (await this.#make(name, attempt)) {
          call.hasCut = true;
          return outcome;
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw isOpen() ? new CountingError('outcome_unknown') : error;
      }
      await pause(host.clock, backoff.next());
    }
    throw new CountingError(isOpen() ? 'outcome_unknown' : 'store_away');
  }

  /** Whether there is time left, and the store has the earlier counts made here. */
  async #isPublished(call: CutCall, isOpen: () => boolean): Promise<boolean> {
    const leftMs = call.endMs - this.#options.host.clock.monotonicMs();
    if (leftMs <= 0) return false;
    try {
      call.isPublished ||= await this.#options.publish(leftMs);
    } catch (error) {
      throw isOpen() ? new CountingError('outcome_unknown') : error;
    }
    return call.isPublished;
  }

  /** @returns whether it was made, by this call. @throws StoreError */
  async #make(name: string, attempt: Attempt): Promise<boolean> {
    const { expectedVersion, cut } = attempt;
    const [isOurs] = await this.#options.store.cut([{ name, expectedVersion, next: cut }]);
    attempt.isOpen = isOurs === true;
    if (attempt.isOpen) this.#options.learned(name, { slots: new Map(), cut });
    return attempt.isOpen;
  }

  async #read(name: string): Promise<{ stored: Cut<ReplicaId>; known: CounterState<ReplicaId> }> {
    const [state] = await this.#options.store.read([name]);
    if (state === undefined) throw new StoreError('the store has left out a counter');
    if (state.damage !== undefined) throw new CountingError('store_damaged');
    return { stored: state.cut, known: merge(state, this.#options.learned(name, state)) };
  }

  /** Identifies this cut: a second attempt with another content has another author. */
  #author(): string {
    return `${this.#options.replica()}/${newId(this.#options.host.random)}`;
  }
}

function isMade(cut: Cut<ReplicaId>, stored: Cut<ReplicaId>): boolean {
  return cut.version === stored.version && cut.author === stored.author;
}
