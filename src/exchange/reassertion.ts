/**
 * Asserts again what the store had confirmed and may have lost: own slots and the cuts that are known here. All of it when the
 * store's term has changed; where nothing is durable, also slowly, again and again. Page by page, and no faster than the store
 * takes it: neither the event loop nor memory notices how much there is.
 */
import { Kind } from '../counter/key.ts';
import type { Cut } from '../crdt/cut.ts';
import type { Engine } from '../engine/engine.ts';
import type { Clock } from '../host/host.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import type { Heir } from './heir.ts';
import type { KeptCuts } from './kept-cuts.ts';
import type { Own } from './loader.ts';
import type { Publisher } from './publisher.ts';
import type { SharedCounters } from './shared-counters.ts';

const PAGE_SLOTS = 1_000;
/** So many slots and cuts may wait for the store before the next page. */
const BACKLOG_MAX = 5 * PAGE_SLOTS;

export interface ReassertionOptions {
  readonly engine: Engine;
  readonly counters: SharedCounters;
  readonly publisher: Publisher;
  readonly heir: Heir;
  readonly kept: KeptCuts;
  readonly own: () => Own;
  readonly clock: Clock;
  readonly isDurable: boolean;
  /** Between two pages of the slow round. */
  readonly sweepMs: number;
}

export class Reassertion {
  readonly #options: ReassertionOptions;
  /** Everything is asked for once more. */
  #isWanted = false;
  #cursor = 0;
  /** Cuts below this position of the list of counters are still to be asserted. */
  #cutsLeft = 0;
  /** Kept cuts that are still to be asserted. */
  #kept: IterableIterator<[string, Cut<ReplicaId>]> | undefined;
  #sweptAtMs = 0;

  constructor(options: ReassertionOptions) {
    this.#options = options;
  }

  /** The store may have lost anything: from the beginning. */
  again(): void {
    this.#isWanted = true;
    this.#cursor = 0;
    this.#cutsLeft = this.#options.counters.count;
    this.#kept = this.#options.kept.all();
    this.#options.heir.forgetPublished();
  }

  /** Does what the store can take now. To be called again and again. */
  step(): void {
    const { publisher, clock, isDurable, sweepMs, heir } = this.#options;
    while (this.#isWanted && publisher.backlog < BACKLOG_MAX) {
      if (this.#cutsLeft > 0) this.#assertCuts();
      else if (this.#kept !== undefined) this.#assertKept(this.#kept);
      else this.#isWanted = this.#assertSlots();
    }
    const isSweepDue = !isDurable && clock.monotonicMs() - this.#sweptAtMs >= sweepMs;
    if (this.#isWanted || !isSweepDue || publisher.backlog >= PAGE_SLOTS) return;
    this.#sweptAtMs = clock.monotonicMs();
    if (this.#cutsLeft > 0) this.#assertCuts();
    else if (!this.#assertSlots()) {
      this.#cutsLeft = this.#options.counters.count;
      heir.forgetPublished();
    }
  }

  /** @returns whether there are more. */
  #assertSlots(): boolean {
    const { engine, publisher, own } = this.#options;
    const { entries, cursor, sequence } = engine.durablePage(Kind.slot, this.#cursor, PAGE_SLOTS);
    const { ordinal, replica } = own();
    for (const { name, ordinal: whose, value } of entries) {
      if (whose === ordinal) publisher.put({ name, replica, version: sequence, net: value });
    }
    this.#cursor = cursor;
    return cursor !== 0;
  }

  /** Those of counters that nobody has asked for since the start: their slots follow. */
  #assertKept(kept: IterableIterator<[string, Cut<ReplicaId>]>): void {
    for (let i = 0; i < PAGE_SLOTS; i++) {
      const { value, done } = kept.next();
      if (done === true) {
        this.#kept = undefined;
        return;
      }
      const [name, cut] = value;
      if (this.#options.counters.find(name) === undefined) this.#options.publisher.putCut({ name, cut });
    }
  }

  /** Backwards: see `SharedCounters`. */
  #assertCuts(): void {
    const { counters, publisher } = this.#options;
    const end = Math.max(0, this.#cutsLeft - PAGE_SLOTS);
    for (let i = this.#cutsLeft - 1; i >= end; i--) {
      const counter = counters.at(i);
      if (counter === undefined) continue;
      const { name, cut, slots } = counter;
      if (cut.version > 0n) publisher.putCut({ name, cut });
      // Also what others had counted: they may have gone back together with the store.
      if (this.#isWanted) for (const [replica, slot] of slots) publisher.put({ name, replica, ...slot });
    }
    this.#cutsLeft = end;
  }
}
