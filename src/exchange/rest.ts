/**
 * Deleted counters leave a replica's memory when nobody has counted on them for a time: the store has their cuts, and
 * does not go back in time so far. They come back when somebody asks for them.
 *
 * Invariant: a cut is dropped when a durable store has had it, without going back meanwhile, for as long as a store may
 * go back.
 */
import type { Cut } from '../crdt/cut.ts';
import type { Clock } from '../host/host.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import type { KeptCuts } from './kept-cuts.ts';
import type { Publisher } from './publisher.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SharedCounters } from './shared-counters.ts';

/** Looked at in one turn. */
const LOOKED_AT_MAX = 1_000;

export interface RestOptions {
  readonly counters: SharedCounters;
  readonly kept: KeptCuts;
  readonly publisher: Publisher;
  readonly isDurable: boolean;
  /** Whether the store has what it had confirmed: otherwise nothing leaves. */
  readonly isTrusted: () => boolean;
  /** How often it has gone back in time, and how far back it may go, ms. */
  readonly wentBack: () => number;
  readonly keepFoldedMs: number;
  readonly clock: Clock;
}

export class Rest {
  readonly #options: RestOptions;
  readonly #letGo: (counter: SharedCounter) => void;
  /** Deletions that an earlier round has found as they are. */
  #seen = new WeakSet<Cut<ReplicaId>>();
  #wentBack = 0;
  #round: IterableIterator<[string, Cut<ReplicaId>]> | undefined;
  #nextRoundAtMs: number;

  /** @param letGo lets a counter leave if it can */
  constructor(options: RestOptions, letGo: (counter: SharedCounter) => void) {
    this.#options = options;
    this.#letGo = letGo;
    this.#nextRoundAtMs = options.clock.monotonicMs();
  }

  /** Goes on with the round, or begins one when it is time. To be called again and again. */
  step(): void {
    const { kept, isDurable, isTrusted, wentBack, keepFoldedMs, clock } = this.#options;
    if (!isDurable || !isTrusted()) return;
    if (this.#wentBack !== wentBack()) {
      // It has them since then only.
      this.#seen = new WeakSet();
      this.#wentBack = wentBack();
    }
    if (this.#round === undefined && clock.monotonicMs() < this.#nextRoundAtMs) return;
    this.#round ??= kept.all();
    for (let looked = 0; looked < LOOKED_AT_MAX; looked++) {
      const { value, done } = this.#round.next();
      if (done === true) {
        this.#round = undefined;
        this.#nextRoundAtMs = clock.monotonicMs() + keepFoldedMs;
        return;
      }
      this.#look(...value);
    }
  }

  #look(name: string, cut: Cut<ReplicaId>): void {
    const { counters, kept, publisher } = this.#options;
    if (!cut.isDeleted || publisher.isUnconfirmed(name)) return;
    const counter = counters.find(name);
    if (counter?.exists === true) return;
    if (!this.#seen.has(cut)) this.#seen.add(cut);
    else if (counter === undefined) kept.drop(name);
    else this.#letGo(counter);
  }
}
