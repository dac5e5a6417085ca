/**
 * This replica's part in its region: who it is, what it holds of the shared counters, and the loops that keep both up
 * to date: the lease, the publisher, the follower, the heir, the sweep.
 */
import { CountingError } from '../counter/errors.ts';
import type { StoreInfo } from '../counter/service.ts';
import { noSlots, type Slot } from '../crdt/slot.ts';
import type { Host } from '../host/host.ts';
import type { Values } from '../journal/entries/value.ts';
import { type Changes, type NamedCut, type ReplicaId, StoreError } from '../store/slot-store.ts';
import { type Attached, attach, recognise } from './attach.ts';
import type { CallContext } from './call.ts';
import { Closing } from './closing.ts';
import { Cutter } from './cutter.ts';
import { Damage } from './damage.ts';
import { Eviction } from './eviction.ts';
import { Follower } from './follower.ts';
import { Heir } from './heir.ts';
import { Incarnations } from './incarnations.ts';
import { KeptCuts } from './kept-cuts.ts';
import { KnownStore } from './known-store.ts';
import { Loader } from './loader.ts';
import { type Own, slotsAmong } from './local-slots.ts';
import { Loops } from './loops.ts';
import { LeaseWatch } from './membership.ts';
import { Outage } from './outage.ts';
import { Publisher } from './publisher.ts';
import { Reassertion } from './reassertion.ts';
import { Refresh } from './refresh.ts';
import type { WatchedOptions } from './region-options.ts';
import { retireAbandoned } from './retire.ts';
import type { SharedCounter } from './shared-counter.ts';
import { SharedCounters } from './shared-counters.ts';
import { inTurns } from './turns.ts';
import { Whole } from './whole.ts';

const REASSERT_MS = 50;

export class Region {
  readonly counters: SharedCounters;
  readonly loader: Loader;
  readonly eviction: Eviction;
  readonly context: CallContext;
  readonly whole: Whole;
  readonly store: KnownStore;
  readonly host: Host;
  /** The journal syncs when it sees fit; in mode `always` it does at once, and its stream brings what was counted. */
  readonly isGathering: boolean;
  readonly #options: WatchedOptions;
  readonly #publisher: Publisher;
  readonly #follower: Follower;
  readonly #heir: Heir;
  readonly #reassertion: Reassertion;
  readonly #refresh: Refresh;
  readonly #watch: LeaseWatch;
  readonly #incarnations: Incarnations;
  readonly #damage: Damage;
  readonly #kept: KeptCuts;
  readonly #outage: Outage;
  readonly #loops: Loops;
  readonly #closing: Closing;

  /** @throws AttachError, StoreRefusal, StoreError */
  static async open(options: WatchedOptions): Promise<Region> {
    const { identity, attachMs } = options;
    // Also when the store answers only later: nothing goes there, or comes from there, before it is known to be ours.
    const store = new KnownStore(options.store, () => recognise(options.store, identity));
    const attached = await attach({ ...options, store, patienceMs: attachMs });
    return new Region({ ...options, store }, attached, await KeptCuts.open(identity.disk, options.onDamaged));
  }

  private constructor(options: WatchedOptions & { readonly store: KnownStore }, attached: Attached, kept: KeptCuts) {
    const { store, engine, host, callMs } = options;
    this.#options = options;
    this.#kept = kept;
    this.store = store;
    this.host = host;
    this.isGathering = engine.info().durability !== 'always';
    const counters = this.#countersOf(attached.membership.replica);
    this.counters = counters;
    const confirmedThrough = (): bigint => this.#publisher.confirmedThrough;
    // The store has not what it had confirmed: all loops look at once what that means for them.
    const wentBack = (): void => {
      this.#reassertion.lost();
      this.whole.lost();
      this.#loops.hurry();
    };
    this.#incarnations = new Incarnations({ ...options, counters, confirmedThrough, wentBack }, attached);
    this.#outage = this.#outageOf(counters);
    const failed = (error: unknown): void => this.#outage.failed(error);
    this.#loops = new Loops(host.clock, failed);
    const own = (): Own => this.#incarnations.own;
    this.#damage = this.#damageOf(own, failed);
    this.#publisher = new Publisher({
      ...options,
      confirmedThrough: attached.confirmedThrough,
      flushJournal: () => engine.flush(),
      turns: engine,
      durableVersion: () => engine.durableSequence,
      mayPublish: () => this.#incarnations.holdsLease(),
      failed,
    });
    const leaveId = (): Promise<void> => this.#orUnavailable(this.#incarnations.leaveId());
    const prove = (): Promise<void> => this.#orUnavailable(this.#reassertion.prove());
    const ended = (): Promise<void> => this.#orUnavailable(this.#incarnations.endPast());
    const putCut = (cut: NamedCut): void => this.#publisher.putCut(cut);
    const isWhole = (): boolean => this.whole.isWhole;
    this.loader = new Loader({
      ...options,
      own,
      ended,
      prove,
      leaveId,
      isWhole,
      damage: this.#damage,
      kept,
      putCut,
      failed,
    });
    this.eviction = this.#evictionOf(own, failed);
    this.#refresh = new Refresh(counters, this.loader);
    this.context = this.#contextOf(own);
    this.#follower = this.#followerOf(failed);
    this.#watch = new LeaseWatch(host, options.leaseMs + 2 * callMs);
    this.#heir = new Heir({ ...options, kept, watch: this.#watch });
    this.#reassertion = new Reassertion({
      ...options,
      counters,
      publisher: this.#publisher,
      heir: this.#heir,
      kept,
      own,
      clock: host.clock,
      renew: () => this.#incarnations.prove(),
      sweepMs: options.leaseMs / 4,
    });
    this.whole = this.#wholeOf(options.leaseMs + 2 * callMs);
    this.#closing = this.#closingOf(failed);
  }

  #closingOf(failed: (error: unknown) => void): Closing {
    return new Closing({
      clock: this.host.clock,
      store: this.store,
      publisher: this.#publisher,
      follower: this.#follower,
      heir: this.#heir,
      whole: this.whole,
      loops: this.#loops,
      cutter: this.context.cutter,
      kept: this.#kept,
      incarnations: this.#incarnations,
      // Soon after a start it has not been asked for anything yet.
      isAway: () => this.#outage.hasFailed && !this.isAnswering,
      confirmAll: (timeoutMs) => this.confirmAll(timeoutMs),
      isReasserted: () => this.#isReasserted,
      failed,
    });
  }

  #wholeOf(patienceMs: number): Whole {
    const { host, leaseMs } = this.#options;
    this.store.onTerm(() => {
      this.#reassertion.termChanged();
      this.whole.termChanged();
    });
    return new Whole({
      store: this.store,
      host,
      watch: this.#watch,
      patienceMs,
      renewMs: leaseMs / 20,
      lookMs: leaseMs / 2,
      replica: () => this.replica,
      term: () => this.store.term,
      isReasserted: () => this.#isReasserted && this.#heir.isThrough,
      announce: (term) => this.#incarnations.announce(term),
      whole: () => {
        this.#outage.loadPartial();
        this.#follower.hurry();
      },
    });
  }

  #outageOf(counters: SharedCounters): Outage {
    return new Outage({
      ...this.#options,
      counters,
      loader: () => this.loader,
      isClosing: () => this.#closing.hasBegun,
      giveUp: () => this.#closing.giveUp(),
    });
  }

  #countersOf(replica: ReplicaId): SharedCounters {
    return new SharedCounters(replica, {
      givenBack: (slot) => this.#publisher.put(slot),
      forked: (name, id) => this.#damage.forked(name, id),
      cut: (name, cut) => this.#kept.keep(name, cut),
      changed: this.#options.changed,
    });
  }

  #followerOf(failed: (error: unknown) => void): Follower {
    const { store, host, pollMs } = this.#options;
    return new Follower({
      store,
      host,
      pollMs,
      replica: () => this.replica,
      changed: (changes) => this.#changed(changes),
      resync: () => this.#refresh.again(),
      isComplete: () => this.#refresh.isDone && this.whole.isWhole,
      term: () => this.store.term,
      leasedThrough: () => this.#incarnations.leasedThrough,
      proven: (through) => this.#reassertion.proven(through),
      answered: () => this.#outage.answered(),
      failed,
    });
  }

  #evictionOf(own: () => Own, failed: (error: unknown) => void): Eviction {
    const { store, host } = this.#options;
    return new Eviction({
      ...this.#options,
      counters: this.counters,
      kept: this.#kept,
      publisher: this.#publisher,
      own,
      isDurable: store.guarantees.durable,
      isAnswering: () => this.isAnswering,
      isTrusted: () => this.isAnswering && this.#reassertion.isDone,
      wentBack: () => this.#reassertion.wentBack,
      clock: host.clock,
      failed,
    });
  }

  #damageOf(own: () => Own, failed: (error: unknown) => void): Damage {
    const { engine, onDamaged: report } = this.#options;
    return new Damage({ engine, own, report, failed, counters: () => this.counters, publisher: () => this.#publisher });
  }

  /** What others have counted, as the feed says it. */
  async #changed(changes: Changes): Promise<void> {
    const { engine } = this.#options;
    await inTurns(engine, changes.slots, (slots) => this.counters.mergeSlots(slots, this.#nowSeconds));
    await inTurns(engine, changes.cuts, (cuts) => {
      for (const { name, cut } of cuts) {
        this.counters.merge(name, { slots: noSlots(), cut }, this.#nowSeconds);
        if (this.#kept.get(name) !== undefined) this.#kept.keep(name, cut);
      }
    });
    for (const record of changes.damaged ?? []) this.#damage.unreadable(record);
  }

  #contextOf(own: () => Own): CallContext {
    const { engine, store, host, callMs } = this.#options;
    const cutter = new Cutter({
      store,
      host,
      timeoutMs: callMs * 2,
      replica: () => this.replica,
      publish: async (timeoutMs) => {
        const endMs = host.clock.monotonicMs() + timeoutMs;
        return (await this.#publisher.flush(timeoutMs)) && (await this.whole.becomes(endMs));
      },
      isWhole: () => this.whole.isWhole,
      learned: (name, state) => this.counters.merge(name, state, this.#nowSeconds),
      keep: () => (this.isGathering ? Promise.resolve() : this.#kept.save().catch((e) => this.#outage.failed(e))),
    });
    return { engine, cutter, own, nowMs: () => host.clock.nowMs(), spare: [] };
  }

  get #nowSeconds(): number {
    return Math.floor(this.host.clock.nowMs() / 1000);
  }

  get replica(): ReplicaId {
    return this.#incarnations.own.replica;
  }

  /** What was confirmed at this time is known here; 0 before the first answer. */
  get asOfMs(): number {
    return this.#follower.asOfMs;
  }

  get isAnswering(): boolean {
    return this.#follower.isAnswering;
  }

  start(): void {
    const { leaseMs, identity } = this.#options;
    this.#publisher.start();
    this.#follower.start();
    // What the store had confirmed before a stop it may have lost since.
    if (!this.store.guarantees.durable || identity.document.assertedTerm !== this.store.term) this.#reassertion.again();
    this.#loops.every(leaseMs / 20, () => this.#incarnations.renew());
    this.#loops.every(leaseMs / 20, () => this.eviction.step());
    this.#loops.every(leaseMs / 20, () => this.eviction.rest());
    this.#loops.every(leaseMs / 4, async () => {
      await this.#incarnations.endPast();
      await this.#heir.step();
    });
    this.#loops.every(REASSERT_MS, () => this.#reassertion.step());
    this.#loops.every(REASSERT_MS, () => this.whole.step());
    this.#loops.every(REASSERT_MS, () => this.#refresh.step());
    this.#loops.every(REASSERT_MS, () => this.#kept.save());
    this.#loops.every(leaseMs * 2, () => this.#retireAbandoned());
  }

  /** Whether the store has confirmed what it may have lost and this replica knows, except what crashes left here. */
  get #isReasserted(): boolean {
    return this.#reassertion.isDone && this.#publisher.isAssured;
  }

  /** How it stands between this replica and the store. */
  info(): Omit<StoreInfo, 'hits' | 'misses'> {
    const { calls, slots } = this.#publisher.traffic;
    return {
      replica: this.replica,
      isDurable: this.store.guarantees.durable,
      isAnswering: this.isAnswering,
      asOfMs: this.asOfMs,
      held: this.counters.count,
      heldBytes: this.counters.bytes,
      backlog: this.#publisher.backlog,
      calls,
      slotsSent: slots,
      loads: this.loader.loads,
      evicted: this.eviction.evicted,
      damaged: this.#damage.found,
      wentBack: this.#reassertion.wentBack,
    };
  }

  /** Slots of this directory's incarnations are durable, by this group. */
  tookSlots(sequence: bigint, values: Values): void {
    slotsAmong(values, (names, start, end, ordinal, net) => {
      const counter = this.counters.findBytes(names, start, end);
      const name = counter?.name ?? names.toString('utf8', start, end);
      this.tookSlot(counter, name, ordinal, { version: sequence, net });
    });
  }

  /** A slot of one of this directory's incarnations is durable; its counter, if it is held here. */
  tookSlot(counter: SharedCounter | undefined, name: string, ordinal: number, slot: Slot): void {
    const replica = this.#incarnations.idOf(ordinal);
    if (replica === undefined) return;
    this.#publisher.put({ name, replica, ...slot });
    if (counter === undefined) return;
    if (ordinal !== this.#incarnations.own.ordinal) {
      // Applied before this replica went on under another id, durable after it.
      counter.mergeSlot(replica, slot);
      return;
    }
    counter.tookOwn(slot);
  }

  /** Something was counted, and `isGathering`. */
  counted(): void {
    this.#publisher.gathered();
  }

  /** Resolves to whether the store has confirmed everything that was counted before, in time. */
  confirmAll(timeoutMs: number): Promise<boolean> {
    return this.#publisher.flush(timeoutMs).catch((error: unknown) => {
      if (error instanceof CountingError) return false;
      throw error;
    });
  }

  /** Something happened that cannot: this process must end. */
  unforeseen(error: unknown): void {
    this.#options.onFatal(error);
  }

  /**
   * Brings what there is to the store, leaves the baton where all of it is safe, and ends all loops.
   * @param timeoutMs after it, or a failure, the store is no longer waited for: the next start brings it what is left
   * @param idle resolves when no call is under way any more
   * @returns whether the store has everything, and the baton
   */
  close(timeoutMs: number, idle: Promise<void>): Promise<boolean> {
    return this.#closing.close(timeoutMs, idle);
  }

  async #retireAbandoned(): Promise<void> {
    const retired = await retireAbandoned(this.store, this.host, this.#watch, this.#options.retireAfterMs);
    for (const replica of retired) this.#options.onRetired(replica);
  }

  /** For reads of what this directory has counted, while the disk does not take how its incarnations stand. */
  async #orUnavailable(work: Promise<void>): Promise<void> {
    await work.catch((error: unknown) => {
      this.#outage.failed(error);
      throw error instanceof StoreError ? error : new CountingError('unavailable');
    });
  }
}
