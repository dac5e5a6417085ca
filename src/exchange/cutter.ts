/**
 * Set, reset and delete of shared counters: one more cut, made by compare-and-set in the store, which so decides
 * between replicas that cut at once. What this replica has counted goes there first; what others have not yet
 * published, and what is counted meanwhile, survives the cut.
 *
 * Invariants:
 * - A cut follows all that is known here, whether the store has it or not: where that has gone back and nobody has
 *   noticed, this replica's own earlier cuts and slots, which it asserts again, change nothing any more.
 * - It replaces what the store has: nothing is made where somebody else has made one since, or where the store has
 *   another term.
 */
import { CountingError } from '../counter/errors.ts';
import { clampInt64 } from '../counter/int64.ts';
import { type Cut, remove, reset, total } from '../crdt/cut.ts';
import { type CounterState, exists, merge } from '../crdt/merge.ts';
import type { Host } from '../host/host.ts';
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
   * Brings what was counted here to the store, and waits until that has all that the others know. @returns whether that
   * succeeded in time
   */
  readonly publish: (timeoutMs: number) => Promise<boolean>;
  /** Whether the store has all that it had confirmed, as far as is known. */
  readonly isWhole: () => boolean;
  /** Told of what the store has. @returns all that is known here */
  readonly learned: (name: string, state: CounterState<ReplicaId>) => CounterState<ReplicaId>;
  /** Has what was learned on the disk, too, as the durability mode asks. What the disk does not take is tried again. */
  readonly keep: () => Promise<void>;
}

/** What a cut is to do; undefined: nothing, the state stays. */
type Decision = (state: CounterState<ReplicaId>) => Cut<ReplicaId> | undefined;

export interface CutOutcome {
  readonly existed: boolean;
  readonly before: bigint;
  readonly isChanged: boolean;
}

/** What the cuts of one call have in common. */
export interface CutCall {
  /** By the monotonic clock. */
  readonly endMs: number;
  /** What was counted here before has reached the store. */
  isPublished: boolean;
  /** At least one cut was made. */
  hasCut: boolean;
}

interface Attempt {
  readonly expectedVersion: bigint;
  readonly cut: Cut<ReplicaId>;
  readonly outcome: CutOutcome;
  /** It may be made still, or was and has been replaced. */
  isOpen: boolean;
}

export class Cutter {
  readonly #options: CutterOptions;
  #isStopped = false;

  constructor(options: CutterOptions) {
    this.#options = options;
  }

  /** Cuts under way are not tried again. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * To be called before the call is answered: what it has set survives a crash together with a store that goes back.
   */
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
    /** Asked for, and perhaps made: answers get lost, calls arrive late, or twice and the second one is answered. */
    const asked: Attempt[] = [];
    const isOpen = (): boolean => asked.some((attempt) => attempt.isOpen);
    while (!this.#isStopped && (await this.#isPublished(call, isOpen))) {
      try {
        const { stored, known } = await this.#read(name);
        const made = asked.find(({ cut }) => isMade(cut, stored));
        call.hasCut ||= made !== undefined;
        if (made !== undefined) return made.outcome;
        // A newer cut than ours is there, and ours may have been before it: that is not known any more.
        if (asked.some((attempt) => attempt.isOpen && attempt.cut.version < stored.version)) break;
        // It was not made on top of another one, and can't be any more.
        for (const attempt of asked) attempt.isOpen &&= attempt.expectedVersion === stored.version;
        // The store has gone back, and has not all yet that is to be decided on.
        call.isPublished &&= this.#options.isWhole();
        if (!call.isPublished) continue;
        const next = decide(known);
        // A sum that has left 64 bits is what a cut can mend.
        const before = clampInt64(total(known.slots, known.cut));
        const outcome = { existed: exists(known), before, isChanged: next !== undefined };
        if (next === undefined) {
          // Not now; but one that was asked for earlier may still arrive.
          if (isOpen()) break;
          return outcome;
        }
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

  /** Whether there is time left, and the store has what was counted here before. */
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

  /** Names this very cut: a second attempt with another content has another author. */
  #author(): string {
    return `${this.#options.replica()}/${newId(this.#options.host.random)}`;
  }
}

function isMade(cut: Cut<ReplicaId>, stored: Cut<ReplicaId>): boolean {
  return cut.version === stored.version && cut.author === stored.author;
}
