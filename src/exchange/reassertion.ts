/**
 * Sends again what the store has lost. After it went back in time it is compared, page by page, with all that this
 * replica knows: its own slots, those of the others that it holds, and the cuts. What the store does not have, or has
 * older, is sent; so where nothing was lost nothing is written. Where nothing is durable the same goes on slowly, again
 * and again.
 *
 * Invariants:
 * - From the moment at which the store may have gone back until `isDone`, nothing is evicted and nothing counts as
 *   confirmed.
 * - A durable store goes back as a whole: where it has our lease as we wrote it last, it has all that was confirmed
 *   before, and only what was confirmed since is compared.
 * - One page at a time, and no faster than the store takes it.
 */
import { Kind } from '../counter/key.ts';
import { type Cut, newerCut } from '../crdt/cut.ts';
import { NO_SLOT, newerSlot, type Slot } from '../crdt/slot.ts';
import type { Clock } from '../host/host.ts';
import type { ReplicaId, SlotStore, StoredState } from '../store/slot-store.ts';
import type { Heir } from './heir.ts';
import type { KeptCuts } from './kept-cuts.ts';
import type { Own } from './local-slots.ts';
import type { Publisher } from './publisher.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SharedCounters } from './shared-counters.ts';
import type { SlotJournal } from './slot-journal.ts';
import { COUNTER_STEPS } from './turns.ts';

const PAGE_COUNTERS = 1_000;
/** This many slots and cuts may wait for the store before the next page. */
const BACKLOG_MAX = 5 * PAGE_COUNTERS;

export interface ReassertionOptions {
  readonly store: SlotStore;
  readonly engine: SlotJournal;
  readonly counters: SharedCounters;
  readonly publisher: Publisher;
  readonly heir: Heir;
  readonly kept: KeptCuts;
  readonly own: () => Own;
  readonly clock: Clock;
  /** Renews the lease, which shows whether the store has lost it; then `lost` is called first. @throws StoreError */
  readonly renew: () => Promise<unknown>;
  /** Between two pages of the slow round. */
  readonly sweepMs: number;
  /** Called once each time the store has gone back. */
  readonly onWentBack: () => void;
}

/** What is to be compared: nothing; what was confirmed since the lease was renewed; everything. */
type Scope = 'nothing' | 'latest' | 'everything';

export class Reassertion {
  readonly #options: ReassertionOptions;
  #scope: Scope = 'nothing';
  /**
   * What was confirmed up to this version the store had when our lease was written, and its term has not changed since.
   */
  #provenThrough = 0n;
  /** The term has changed, and the lease has not been looked at since. */
  #isUnproven = false;
  #proving: Promise<void> | undefined;
  /** Counters below this position of the list are still to be compared. */
  #left = 0;
  /** Then kept cuts of counters that nobody has asked for since the start: their slots follow. */
  #kept: IterableIterator<[string, Cut<ReplicaId>]> | undefined;
  /** Then own slots, from here on. */
  #cursor = 0;
  #round = 0;
  #wentBack = 0;
  #sweptAtMs = 0;

  constructor(options: ReassertionOptions) {
    this.#options = options;
  }

  /** Whether everything known here was sent to the store since it went back, even if not all is confirmed yet. */
  get isDone(): boolean {
    return this.#scope === 'nothing' && !this.#isUnproven;
  }

  /** How often the store has gone back. */
  get wentBack(): number {
    return this.#wentBack;
  }

  /** The store has another term: it may have lost what it had confirmed. */
  termChanged(): void {
    this.#isUnproven = true;
    this.#options.publisher.doubt();
  }

  /** Its term is what it was after our lease said that it had confirmed everything up to this version. */
  proven(through: bigint): void {
    if (this.isDone) this.#provenThrough = through;
  }

  /** The store has lost confirmed data. */
  lost(): void {
    if (this.#scope !== 'everything') {
      this.#wentBack++;
      this.#options.onWentBack();
    }
    this.again();
  }

  /** Everything is compared, from the beginning. */
  again(): void {
    this.#begin('everything');
    this.#options.publisher.doubt();
    this.#options.heir.forgetPublished();
  }

  /** Resolves when it is known whether the store, if it has another term, has lost anything. @throws StoreError */
  prove(): Promise<void> {
    if (!this.#isUnproven) return Promise.resolve();
    this.#proving ??= this.#prove().finally(() => {
      this.#proving = undefined;
    });
    return this.#proving;
  }

  /** Does as much as the store can take now. Call repeatedly, even after a failure. @throws StoreError */
  async step(): Promise<void> {
    const { publisher, clock, store, sweepMs } = this.#options;
    await this.prove();
    while (this.#scope !== 'nothing' && publisher.backlog < BACKLOG_MAX) {
      if (await this.#comparePage()) this.#end();
    }
    const isSweepDue = !store.guarantees.durable && clock.monotonicMs() - this.#sweptAtMs >= sweepMs;
    if (this.#scope !== 'nothing' || !isSweepDue || publisher.backlog >= PAGE_COUNTERS) return;
    this.#sweptAtMs = clock.monotonicMs();
    if (!(await this.#comparePage())) return;
    this.#left = this.#options.counters.count;
    this.#options.heir.forgetPublished();
  }

  async #prove(): Promise<void> {
    const { renew, store } = this.#options;
    const before = this.#wentBack;
    await renew();
    this.#isUnproven = false;
    if (this.#scope === 'everything') this.#begin('everything');
    else if (!store.guarantees.durable) this.lost();
    else if (this.#wentBack === before) this.#begin(this.#provenThrough > 0n ? 'latest' : 'everything');
  }

  #begin(scope: Scope): void {
    this.#scope = scope;
    this.#left = this.#options.counters.count;
    this.#kept = scope === 'everything' ? this.#options.kept.all() : undefined;
    this.#cursor = 0;
    this.#round++;
  }

  #end(): void {
    this.#scope = 'nothing';
    if (!this.#isUnproven) this.#options.publisher.reasserted();
  }

  /** @returns whether it was the last one */
  async #comparePage(): Promise<boolean> {
    await this.#options.engine.turn(PAGE_COUNTERS * COUNTER_STEPS);
    const round = this.#round;
    if (this.#left > 0) {
      const left = await this.#compareCounters();
      // Unless it has begun anew meanwhile.
      if (this.#round === round) this.#left = left;
      return false;
    }
    if (this.#kept !== undefined) {
      const isLast = await this.#compareKept(this.#kept);
      if (this.#round === round && isLast) this.#kept = undefined;
      return false;
    }
    if (this.#scope === 'latest') return true;
    const cursor = await this.#compareSlots();
    if (this.#round !== round) return false;
    this.#cursor = cursor;
    return cursor === 0;
  }

  /**
   * Those that are held: cuts, and the slots of the others; and the own one where that is known. Backwards: see
   * `SharedCounters`.
   */
  async #compareCounters(): Promise<number> {
    const { counters } = this.#options;
    const left = Math.max(0, this.#left - PAGE_COUNTERS);
    const page: SharedCounter[] = [];
    for (let i = this.#left - 1; i >= left; i--) {
      const counter = counters.at(i);
      if (counter !== undefined && this.#isWanted(counter)) page.push(counter);
    }
    await this.#compare(
      page.map(({ name }) => name),
      (i, stored) => this.#tellCounter(page[i] as SharedCounter, stored),
    );
    return left;
  }

  #isWanted({ ownVersion, cut, slots }: SharedCounter): boolean {
    // When a cut was made is not known.
    if (this.#scope === 'latest') return ownVersion > this.#provenThrough || cut.version > 0n;
    return ownVersion > 0n || cut.version > 0n || slots.size > 0;
  }

  /** @returns whether these were the last ones */
  async #compareKept(kept: IterableIterator<[string, Cut<ReplicaId>]>): Promise<boolean> {
    const { counters, publisher } = this.#options;
    const page: [string, Cut<ReplicaId>][] = [];
    let isLast = false;
    for (let looked = 0; looked < PAGE_COUNTERS && !isLast; looked++) {
      const { value, done } = kept.next();
      if (done === true) isLast = true;
      else if (counters.find(value[0]) === undefined) page.push(value);
    }
    await this.#compare(
      page.map(([name]) => name),
      (i, stored) => {
        const [name, cut] = page[i] as [string, Cut<ReplicaId>];
        if (newerCut(stored.cut, cut) !== stored.cut) publisher.putCut({ name, cut });
      },
    );
    return isLast;
  }

  /** Own slots of counters that need not be held. */
  async #compareSlots(): Promise<number> {
    const { engine, own } = this.#options;
    const { entries, cursor, sequence } = engine.durablePage(Kind.slot, this.#cursor, PAGE_COUNTERS);
    const { ordinal, replica } = own();
    const ours = entries.filter((entry) => entry.ordinal === ordinal);
    await this.#compare(
      ours.map(({ name }) => name),
      (i, stored) => {
        const { name, value } = ours[i] as (typeof ours)[number];
        this.#tellOwn(name, replica, { version: sequence, net: value }, stored);
      },
    );
    return cursor;
  }

  async #compare(names: readonly string[], tell: (i: number, stored: StoredState) => void): Promise<void> {
    if (names.length === 0) return;
    const states = await this.#options.store.read(names);
    await this.#options.engine.turn(names.length * COUNTER_STEPS);
    for (let i = 0; i < names.length; i++) tell(i, states[i] as StoredState);
  }

  #tellCounter(counter: SharedCounter, stored: StoredState): void {
    const { publisher, own } = this.#options;
    const { name, cut, ownVersion, durableNet, warmth } = counter;
    for (const [replica, slot] of counter.slots) {
      if (newestOf(stored, replica).version < slot.version) publisher.put({ name, replica, ...slot });
    }
    const isCutKnown = cut.version === 0n || newerCut(stored.cut, cut) === stored.cut;
    if (!isCutKnown) publisher.putCut({ name, cut });
    if (warmth !== 'cold' && ownVersion > 0n) {
      this.#tellOwn(name, own().replica, { version: ownVersion, net: durableNet }, stored);
    }
  }

  /** What the store has of it in an older version is not sent again where the net is the same. */
  #tellOwn(name: string, replica: ReplicaId, slot: Slot, stored: StoredState): void {
    const known = newestOf(stored, replica);
    if (known.version > 0n && known.net === slot.net && stored.damage === undefined) return;
    this.#options.publisher.put({ name, replica, ...slot });
  }
}

/** A replica's slot as the store has it, in a row of its own or in the cut. */
function newestOf({ slots, cut }: StoredState, replica: ReplicaId): Slot {
  return newerSlot(slots.get(replica) ?? NO_SLOT, cut.folded.get(replica) ?? NO_SLOT);
}
