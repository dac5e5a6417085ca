/**
 * Makes cold counters warm: reads their states from the store, many names at once, and the counts of this directory's
 * own incarnations from the engine.
 *
 * A counter is in the map and receives the feed's changes before its state is read, so no change in the meantime is
 * missed.
 */
import { CountingError } from '../counter/errors.ts';
import { type Cut, newerCut, noCut } from '../crdt/cut.ts';
import type { CounterState } from '../crdt/merge.ts';
import { NO_SLOT, noSlots, type Slot } from '../crdt/slot.ts';
import type { Host } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import type { NamedCut, ReplicaId, SlotStore, StoredState } from '../store/slot-store.ts';
import type { Damage } from './damage.ts';
import type { Identity } from './identity.ts';
import type { KeptCuts } from './kept-cuts.ts';
import { type LocalSlot, type Own, readNets, restoreNets } from './local-slots.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SlotJournal } from './slot-journal.ts';
import { COUNTER_STEPS } from './turns.ts';

const BATCH_NAMES = 1_000;
const READS_AT_ONCE = 4;

export interface LoaderOptions {
  readonly store: SlotStore;
  readonly engine: SlotJournal;
  readonly host: Host;
  readonly identity: Identity;
  readonly own: () => Own;
  /** Resolves when the slots of all earlier incarnations are final. */
  readonly ended: () => Promise<void>;
  /**
   * After a change of term, resolves when it is known whether the store has lost anything; we may then count under
   * another id.
   */
  readonly prove: () => Promise<unknown>;
  /** A slot of ours is newer in the store than what has been written here. Resolves when we count under another id. */
  readonly leaveId: () => Promise<void>;
  /** Whether the store has everything that it had confirmed; otherwise its state is only a part. */
  readonly isWhole: () => boolean;
  readonly damage: Damage;
  readonly kept: KeptCuts;
  readonly putCut: (cut: NamedCut) => void;
  readonly failed: (error: unknown) => void;
}

interface Waiting {
  readonly counters: readonly SharedCounter[];
  left: number;
  readonly done: () => void;
}

export class Loader {
  readonly #options: LoaderOptions;
  readonly #queue: SharedCounter[] = [];
  readonly #waiting = new Map<SharedCounter, Waiting[]>();
  #reads = 0;
  #isScheduled = false;
  #loads = 0;

  constructor(options: LoaderOptions) {
    this.#options = options;
  }

  /** Counters read from the store since the start. */
  get loads(): number {
    return this.#loads;
  }

  /** Calls back when an attempt has been made for each of these; `warmth` shows the result. */
  load(counters: readonly SharedCounter[], done: () => void): void {
    assert(counters.length > 0, 'a load that waits for nothing would never end');
    const waiting = { counters, left: counters.length, done };
    for (const counter of counters) {
      const others = this.#waiting.get(counter);
      if (others === undefined) {
        this.#waiting.set(counter, [waiting]);
        this.#queue.push(counter);
      } else {
        others.push(waiting);
      }
    }
    this.#schedule();
  }

  /** Rereads counters. @throws StoreError, CountingError */
  async refresh(counters: readonly SharedCounter[]): Promise<void> {
    for (let from = 0; from < counters.length; from += BATCH_NAMES) {
      await this.#read(counters.slice(from, from + BATCH_NAMES));
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#queue.length === 0 || this.#reads === READS_AT_ONCE) return;
    this.#isScheduled = true;
    this.#options.host.clock.soon(() => {
      this.#isScheduled = false;
      while (this.#queue.length > 0 && this.#reads < READS_AT_ONCE) void this.#loadBatch();
    });
  }

  async #loadBatch(): Promise<void> {
    const counters = this.#queue.splice(0, BATCH_NAMES);
    this.#reads++;
    try {
      await this.#read(counters);
    } catch (error) {
      this.#options.failed(error);
      await this.#takeOwnPart(counters).catch(this.#options.failed);
    }
    this.#reads--;
    for (const counter of counters) {
      const waiting = this.#waiting.get(counter) ?? [];
      this.#waiting.delete(counter);
      for (const one of waiting) {
        assert(one.left > 0, 'a load waits for each of its counters once');
        if (--one.left === 0) one.done();
      }
    }
    this.#schedule();
  }

  async #read(counters: readonly SharedCounter[]): Promise<void> {
    const wasWhole = this.#options.isWhole();
    const states = await this.#options.store.read(counters.map((counter) => counter.name));
    this.#loads += counters.length;
    if (this.#options.identity.document.hasEvicted === true) await this.#options.prove();
    await this.#options.engine.turn(counters.length * COUNTER_STEPS);
    const whole = counters.map((_, i) => i).filter((i) => states[i]?.damage === undefined);
    const pick = <Item>(items: readonly Item[]): Item[] => whole.map((i) => items[i] as Item);
    await this.#takeNets(pick(counters), pick(states));
    counters.forEach((counter, i) => {
      const state = states[i] as StoredState;
      counter.merge(state);
      this.#takeKept(counter, state.cut);
      if (state.damage === undefined) this.#loaded(counter, wasWhole && this.#options.isWhole());
      else this.#options.damage.unreadable({ name: counter.name, why: state.damage });
    });
  }

  /** The newest cut that was seen here; it is sent to a store that has gone back. */
  #takeKept(counter: SharedCounter, stored: Cut<ReplicaId>): void {
    const cut = this.#options.kept.get(counter.name);
    if (cut === undefined || newerCut(stored, cut) === stored) return;
    counter.merge({ slots: noSlots(), cut });
    this.#options.putCut({ name: counter.name, cut });
  }

  #loaded(counter: SharedCounter, isWhole: boolean): void {
    if (isWhole) counter.warm();
    else if (counter.warmth === 'cold') counter.warmth = 'partial';
    this.#options.damage.mended(counter.name);
  }

  /** The store is unreachable. If this directory has never evicted a counter, it still knows its own counts. */
  async #takeOwnPart(counters: readonly SharedCounter[]): Promise<void> {
    const cold = counters.filter((counter) => counter.warmth === 'cold');
    if (this.#options.identity.document.hasEvicted === true) return;
    await this.#takeNets(cold, undefined);
    for (const counter of cold) this.#takeKept(counter, noCut());
    // Unless another read has succeeded meanwhile.
    for (const counter of cold) if (counter.warmth === 'cold') counter.warmth = 'partial';
  }

  async #takeNets(
    counters: readonly SharedCounter[],
    states: readonly CounterState<ReplicaId>[] | undefined,
  ): Promise<void> {
    const names = counters.map((counter) => counter.name);
    const { engine, identity, own, ended } = this.#options;
    await ended();
    const { replica, ordinal } = own();
    for (const { id, ordinal: past, through, foldedAt } of identity.document.incarnations) {
      if (past === ordinal || through === undefined || foldedAt !== undefined) continue;
      const nets = await readNets(engine, names, past);
      counters.forEach((counter, i) => {
        const net = nets[i];
        if (net !== undefined) counter.mergeSlot(id, { version: BigInt(through), net });
      });
    }
    const nets = await readNets(engine, names, ordinal);
    // The id has changed: this was an earlier one.
    if (own().ordinal !== ordinal) return this.#takeNets(counters, states);
    const allStored = counters.map((_, i) =>
      newest(states?.[i]?.slots.get(replica), states?.[i]?.cut.folded.get(replica)),
    );
    if (await this.#leavesId(allStored)) return this.#takeNets(counters, states);
    const lost: LocalSlot[] = [];
    counters.forEach((counter, i) => {
      const stored = allStored[i] as Slot;
      const net = nets[i] ?? stored.net;
      if (nets[i] === undefined && stored.version > 0n) lost.push({ name: counter.name, ordinal, net });
      counter.loadOwn(stored.version, counter.warmth === 'cold' ? net : undefined);
    });
    if (lost.length > 0) await restoreNets(engine, lost);
  }

  /** Whether the store has newer slots of ours than were written here, so that we now count under another id. */
  async #leavesId(stored: readonly Slot[]): Promise<boolean> {
    const { engine, own, leaveId, damage } = this.#options;
    const { ordinal, replica } = own();
    // Not the newest durable group: an heir on a copy of this directory may have read unsynced data from it.
    const { sequence } = engine.info();
    if (!stored.some(({ version }) => version > sequence)) return false;
    damage.ahead(replica);
    await leaveId();
    if (own().ordinal === ordinal) throw new CountingError('shutting_down');
    return true;
  }
}

function newest(a = NO_SLOT, b = NO_SLOT): Slot {
  return a.version >= b.version ? a : b;
}
