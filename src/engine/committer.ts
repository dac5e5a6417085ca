/**
 * The way of a group: gathering -> sealed -> written -> durable. One write and one sync cover everything that arrived
 * during the last one. Waiters are notified at the step their mode requires. A sync without waiters runs beside the
 * writes.
 *
 * Invariants:
 * - `groups` holds every group that is not durable, oldest first; the last one is gathering, and only it takes
 *   updates. Sequence numbers are given when a group is sealed, gapless.
 * - In mode `always` no waiter is notified before the sync that covers its group.
 * - After a failed write or sync every group that was not durable ends *unknown* and nothing is undone in the
 *   table. No update is applied until a new segment holds, durably, everything that those groups touched.
 * - Only a `JournalFailure` counts as a failure. Any other error, even of a callback, ends the process.
 */
import { ERRORS } from '../counter/errors.ts';
import { SEALED_GROUPS_MAX, UNSYNCED_BYTES_MAX } from '../counter/limits.ts';
import type { Durability } from '../counter/service.ts';
import { throwSoon } from '../host/fault.ts';
import type { Clock, Timer } from '../host/host.ts';
import { JournalFailure } from '../journal/errors.ts';
import type { Journal } from '../journal/journal.ts';
import { assert } from '../std/assert.ts';
import { Doubt } from './doubt.ts';
import type { Group, Waiter } from './group.ts';
import { GroupPool } from './group-pool.ts';
import { GATHER_MS, Pacing, SYNC_INTERVAL_MS } from './pacing.ts';
import { NO_GROUP } from './records.ts';

/** What the engine does at the steps of a group. */
export interface CommitterEvents {
  /** Completes the encoding of a group that is being sealed. */
  readonly encode: (group: Group) => void;
  /** Whether `durable` needs the encoding: it is then kept from the write to the sync. */
  readonly isStreamed: () => boolean;
  /** The group is durable and out of `groups`; waiters have not been notified yet. */
  readonly durable: (group: Group) => void;
  /** These records, once in doubt, are durable; `restated` follows with their group, until it was read. */
  readonly told: (refs: readonly number[]) => void;
  readonly restated: (group: Group) => Promise<void>;
  /** The gathering group has room again, or everything is refused now. */
  readonly room: () => void;
  readonly failed: (error: JournalFailure) => void;
  readonly repaired: () => void;
}

const MARK_DELAY_MS = 5;

export class Committer {
  readonly groups: Group[];
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #durability: Durability;
  readonly #gatherMs: number;
  readonly #events: CommitterEvents;
  readonly #pool = new GroupPool();
  /** The number that the gathering group gets when it is sealed. */
  #nextSequence: bigint;
  #durableSequence: bigint;
  #isRunning = false;
  #isSyncDue = false;
  #unsyncedBytes = 0;
  #gatherTimer: Timer | undefined;
  #syncTimer: Timer | undefined;
  #markTimer: Timer | undefined;
  readonly #doubt = new Doubt();
  readonly #pacing: Pacing;
  #isRepairing = false;
  /** The sync that runs beside the writes. */
  #syncing: Promise<void> | undefined;
  /** The error of that sync, until it is handled. */
  #syncFailure: JournalFailure | undefined;
  #failures = 0;
  #syncs = 0;
  #isClosed = false;

  constructor(options: {
    readonly journal: Journal;
    readonly clock: Clock;
    readonly durability: Durability;
    /** Empty; filled and emptied here, read by `Records`. */
    readonly groups: Group[];
    readonly events: CommitterEvents;
  }) {
    this.groups = options.groups;
    this.#journal = options.journal;
    this.#clock = options.clock;
    this.#durability = options.durability;
    this.#gatherMs = GATHER_MS[options.durability];
    this.#pacing = new Pacing(options.clock);
    this.#events = options.events;
    this.#nextSequence = options.journal.sequence + 1n;
    this.#durableSequence = options.journal.sequence;
    this.#gather();
  }

  get gathering(): Group {
    return this.groups[this.groups.length - 1];
  }

  /** Whether updates are refused because the journal is being replaced. */
  get isFailing(): boolean {
    return this.#isRepairing;
  }

  get sequence(): bigint {
    return this.#nextSequence - 1n;
  }

  /** The newest group that updates have gone into, the gathering one included. */
  get newestSequence(): bigint {
    return this.gathering.isEmpty ? this.sequence : this.#nextSequence;
  }

  get durableSequence(): bigint {
    return this.#durableSequence;
  }

  /** The number of failures so far. If it changes, earlier reads must not be trusted. */
  get failures(): number {
    return this.#failures;
  }

  get syncs(): number {
    return this.#syncs;
  }

  /** Whether a failed group touched the record and no durable group states it yet. */
  isUntold(ref: number): boolean {
    return this.#doubt.has(ref);
  }

  /** Whether the gathering group can take this many more records; seals it and opens another if that helps. */
  hasRoom(records: number): boolean {
    const group = this.gathering;
    if (group.isEmpty || group.takes(records)) return true;
    if (this.#unwritten().length >= SEALED_GROUPS_MAX) return false;
    this.#seal(group);
    this.#gather();
    return true;
  }

  /** The group with this order, which is not durable yet. */
  group(order: number): Group {
    const group = this.undurable(order);
    assert(group !== undefined, 'whoever waits waits for a group that is not durable');
    return group;
  }

  /** The same; undefined if the group is durable or there is none. */
  undurable(order: number): Group | undefined {
    return order === NO_GROUP ? undefined : this.groups[order - this.groups[0].order];
  }

  /** The order of the newest group that holds anything and is not durable, or -1. */
  get newestTouched(): number {
    const group = this.gathering.isEmpty ? this.groups.at(-2) : this.gathering;
    return group === undefined ? NO_GROUP : group.order;
  }

  /** Starts the commit of the gathered updates once the pending input has been handled. */
  kick(): void {
    if (this.#isRunning || this.#isClosed) return;
    if (this.#isDue) this.#start();
    else this.#gatherTimer ??= this.#clock.schedule(this.#gatherMs, () => this.#start());
  }

  /** Whether the gathered updates must be written at once. */
  get #isDue(): boolean {
    return this.#gatherMs === 0 || this.#isSyncDue || this.#hasSealed || this.#syncFailure !== undefined;
  }

  /** Whether a sealed group waits to be written. */
  get #hasSealed(): boolean {
    return this.groups.at(-2)?.written === false;
  }

  #start(): void {
    this.#gatherTimer?.cancel();
    this.#gatherTimer = undefined;
    if (this.#isRunning || this.#isClosed) return;
    this.#isRunning = true;
    this.#clock.soon(() => this.#background(this.#run()));
  }

  /** Nothing awaits this promise, so a fault must not stay in it. */
  #background(work: Promise<void>): void {
    work.catch((fault: unknown) => throwSoon(this.#clock, fault));
  }

  /** Calls back when everything gathered so far is durable, in every mode. */
  flush(waiter: Waiter): void {
    const newest = this.newestTouched;
    if (this.isFailing) {
      waiter.failed();
    } else if (newest === NO_GROUP) {
      waiter.durable();
    } else {
      this.group(newest).waiters.push(waiter);
      this.#isSyncDue = true;
      this.kick();
    }
  }

  /** The journal has failed by itself, perhaps while nothing was being written. */
  interrupt(failure: JournalFailure): void {
    this.#syncFailure ??= failure;
    this.#start();
  }

  /** Stops all timers; nothing is written any more. */
  close(): void {
    this.#isClosed = true;
    for (const timer of [this.#gatherTimer, this.#syncTimer, this.#markTimer]) timer?.cancel();
  }

  async #run(): Promise<void> {
    try {
      while (
        !this.#isClosed &&
        (!this.gathering.isEmpty || this.groups.length > 1 || this.#syncFailure !== undefined)
      ) {
        this.#pacing.begin();
        if (!(await this.#commitOnce()) || !this.#isDue) break;
        this.#pacing.end();
        if (!this.#hasSealed) await this.#pacing.gather(this.gathering);
      }
    } finally {
      this.#isRunning = false;
    }
    this.#pacing.rest();
    this.#rest();
  }

  #rest(): void {
    // Something may have arrived since the last check: an update, a flush of written groups, a failure.
    if (this.#syncFailure !== undefined) this.#start();
    else if (!this.gathering.isEmpty || (this.#isSyncDue && this.groups.length > 1)) this.kick();
    else if (this.groups.length === 1) this.#scheduleMark();
  }

  /** One write, and the sync if one is required. @returns false if there is nothing to do until the next sync. */
  async #commitOnce(): Promise<boolean> {
    // Full groups go first; no caller waits for the group that `off` is still gathering.
    if (!this.gathering.isEmpty && (this.#gatherMs === 0 || this.#isSyncDue || !this.#hasSealed)) {
      this.#seal(this.gathering);
      this.#gather();
    }
    const unwritten = this.#unwritten();
    const isSyncDue = this.#durability === 'always' || this.#isSyncDue || this.#unsyncedBytes > UNSYNCED_BYTES_MAX;
    if (unwritten.length === 0 && !isSyncDue && this.#syncFailure === undefined) return false;
    this.#markTimer?.cancel();
    // Taken before the write: a flush requested meanwhile may concern a later group.
    this.#isSyncDue = false;
    try {
      if (this.#syncFailure !== undefined) throw this.#syncFailure;
      if (unwritten.length > 0) await this.#write(unwritten);
      if (isSyncDue) {
        await this.#syncing;
        this.#syncing = this.#sync();
        this.#background(this.#syncing);
        // In the other modes only a flush waits for it.
        if (this.#durability === 'always') await this.#syncing;
      } else {
        this.#scheduleSync();
      }
      if (this.#syncFailure !== undefined) throw this.#syncFailure;
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error;
      await this.#fail(error);
      return true;
    }
    this.#events.room();
    return true;
  }

  /** Syncs everything written. A failure is left in `#syncFailure` for the write loop to handle. */
  async #sync(): Promise<void> {
    const failures = this.#failures;
    const unwritten = this.groups.find((group) => !group.written) ?? this.gathering;
    try {
      await this.#journal.sync();
      // Otherwise a write has failed meanwhile and the groups are gone.
      if (this.#failures === failures) this.#becomeDurable(unwritten.order);
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error;
      if (this.#failures === failures) this.#syncFailure = error;
    }
    this.#syncing = undefined;
    if (!this.#isRunning) this.#rest();
  }

  /** The sealed groups after the written ones; there can be many written groups between two syncs. */
  #unwritten(): Group[] {
    let from = this.groups.length - 1;
    while (from > 0 && !this.groups[from - 1].written) from--;
    return this.groups.slice(from, -1);
  }

  async #write(groups: readonly Group[]): Promise<void> {
    await this.#journal.write(groups.map((group) => group.encoding));
    const isStreamed = this.#events.isStreamed();
    for (const group of groups) {
      group.written = true;
      group.bytes = group.encoding.bytes;
      this.#unsyncedBytes += group.bytes;
      if (!isStreamed) this.#pool.giveBuffer(group);
      if (this.#durability !== 'always') this.#pacing.answered(group.tell());
    }
  }

  /** The groups before this one were written before the sync: they are durable. */
  #becomeDurable(order: number): void {
    this.#syncs++;
    const count = order - this.groups[0].order;
    // Removed from `groups` first: then the table may drop records they deleted, and callbacks see the new state.
    for (const group of this.groups.splice(0, count)) {
      this.#durableSequence = group.sequence;
      this.#unsyncedBytes -= group.bytes;
      this.#events.durable(group);
      if (this.#durability === 'always') this.#pacing.answered(group.tell());
      for (const waiter of group.waiters) waiter.durable();
      this.#pool.give(group);
    }
  }

  #seal(group: Group): void {
    this.#number(group);
    this.#events.encode(group);
  }

  #number(group: Group, sequence = this.#nextSequence): void {
    this.#nextSequence = sequence + 1n;
    group.sequence = sequence;
    group.encoding.stamp(sequence, this.#clock.nowMs());
  }

  #gather(): void {
    this.groups.push(this.#pool.take());
  }

  #scheduleSync(): void {
    this.#syncTimer ??= this.#clock.schedule(SYNC_INTERVAL_MS[this.#durability], () => {
      this.#syncTimer = undefined;
      this.#isSyncDue = true;
      this.kick();
    });
  }

  /** When traffic pauses, an empty group follows: its frame marks the previous one as durable. */
  #scheduleMark(): void {
    this.#markTimer?.cancel();
    if (!this.#journal.needsMark || this.#isClosed) return;
    this.#markTimer = this.#clock.schedule(MARK_DELAY_MS, () => {
      if (this.#isRunning || !this.gathering.isEmpty || this.groups.length > 1 || this.isFailing) return;
      this.#isRunning = true;
      this.#background(this.#mark());
    });
  }

  async #mark(): Promise<void> {
    // Sealed while empty, and nothing else runs: updates that arrive meanwhile go into the next group.
    this.#seal(this.gathering);
    this.#gather();
    this.#isSyncDue = true;
    await this.#run();
  }

  /** Ends everything that is not durable as unknown, then repairs the journal until it holds again. */
  async #fail(error: JournalFailure): Promise<void> {
    this.#failures++;
    this.#syncFailure = undefined;
    this.#unsyncedBytes = 0;
    this.#isRepairing = true;
    const failed = this.groups.splice(0);
    this.#gather();
    for (const group of failed) this.#doubt.add(group);
    this.#events.failed(error);
    for (const group of failed) {
      for (const chunk of group.chunks) {
        chunk.refusal = ERRORS.outcome_unknown.id;
        chunk.complete();
      }
      for (const waiter of group.waiters) waiter.failed();
    }
    this.#events.room();
    const restatement = await this.#doubt.settle({
      ...this.#events,
      journal: this.#journal,
      clock: this.#clock,
      number: (group, sequence) => this.#number(group, sequence),
      isGivenUp: () => this.#isClosed,
    });
    if (restatement === undefined) return;
    this.#syncs++;
    this.#durableSequence = restatement.sequence;
    await this.#events.restated(restatement);
    this.#isRepairing = false;
    this.#events.repaired();
    this.#events.room();
  }
}
