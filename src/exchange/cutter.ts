/**
 * Set, reset and delete of shared counters: one more cut, made by compare-and-set in the store, which so decides between
 * replicas that cut at once. What this replica has counted goes there first; what others have not yet published, and what is
 * counted meanwhile, survives the cut.
 */
import { CountingError } from '../counter/errors.ts';
import { clampInt64 } from '../counter/int64.ts';
import { type Cut, remove, reset, total } from '../crdt/cut.ts';
import { type CounterState, exists } from '../crdt/merge.ts';
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
  /** Brings what was counted here to the store, and waits until that has all that the others know. @returns whether that succeeded in time */
  readonly publish: (timeoutMs: number) => Promise<boolean>;
  /** Told of what the store has. */
  readonly learned: (name: string, state: CounterState<ReplicaId>) => void;
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
  readonly cut: Cut<ReplicaId>;
  readonly outcome: CutOutcome;
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

  /** To be called before the call is answered: what it has set survives a crash together with a store that goes back. */
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
      return reset(state.slots, state.cut, this.#author(), value);
    });
  }

  /** Deletes the counter if it exists. @throws as `set` */
  delete(call: CutCall, name: string): Promise<CutOutcome> {
    return this.#cut(call, name, (state) =>
      exists(state) ? remove(state.slots, state.cut, this.#author()) : undefined,
    );
  }

  async #cut(call: CutCall, name: string, decide: Decision): Promise<CutOutcome> {
    const { host, publish, learned } = this.#options;
    const { endMs } = call;
    const backoff = new Backoff(host.random, RETRY_MS_MIN, RETRY_MS_MAX);
    /** Asked for, and not known whether it was made: answers get lost, calls arrive late, or twice and the second one is answered. */
    let asked: Attempt[] = [];
    const leftMs = endMs - host.clock.monotonicMs();
    if (leftMs <= 0 || !(call.isPublished || (await publish(leftMs)))) throw new CountingError('store_away');
    call.isPublished = true;
    while (!this.#isStopped && host.clock.monotonicMs() < endMs) {
      try {
        const state = await this.#read(name);
        const made = asked.find(({ cut }) => isMade(cut, state.cut));
        call.hasCut ||= made !== undefined;
        if (made !== undefined) return made.outcome;
        // A newer cut than ours is there, and ours may have been before it: that is not known any more.
        if (asked.some(({ cut }) => cut.version < state.cut.version)) break;
        // Another's has the version of ours: it was not made, and can't be any more.
        asked = asked.filter(({ cut }) => cut.version > state.cut.version);
        const next = decide(state);
        const before = total(state.slots, state.cut);
        // A sum that has left 64 bits is what a cut can mend.
        const outcome = { existed: exists(state), before: clampInt64(before), isChanged: next !== undefined };
        if (next === undefined) {
          // Not now; but one that was asked for earlier may still arrive.
          if (asked.length > 0) break;
          return outcome;
        }
        asked.push({ cut: next, outcome });
        const [isOurs] = await this.#options.store.cut([{ name, expectedVersion: state.cut.version, next }]);
        if (isOurs === true) {
          learned(name, { slots: new Map(), cut: next });
          call.hasCut = true;
          return outcome;
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw asked.length === 0 ? error : new CountingError('outcome_unknown');
      }
      await pause(host.clock, backoff.next());
    }
    throw new CountingError(asked.length === 0 ? 'store_away' : 'outcome_unknown');
  }

  async #read(name: string): Promise<CounterState<ReplicaId>> {
    const [state] = await this.#options.store.read([name]);
    if (state === undefined) throw new StoreError('the store has left out a counter');
    if (state.damage !== undefined) throw new CountingError('store_damaged');
    this.#options.learned(name, state);
    return state;
  }

  /** Names this very cut: a second attempt with another content has another author. */
  #author(): string {
    return `${this.#options.replica()}/${newId(this.#options.host.random)}`;
  }
}

function isMade(cut: Cut<ReplicaId>, stored: Cut<ReplicaId>): boolean {
  return cut.version === stored.version && cut.author === stored.author;
}
