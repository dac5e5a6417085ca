/**
 * A slot store in this process, for tests and the simulator. Clients share a `MemoryStore`; each connects through a
 * `MemoryConnection`, whose `Line` decides for every call when, whether and how often it arrives, and whether its
 * answer comes back. `rollBack` loses the last writes, as a failover of an asynchronous replica does.
 */
import { type Cut, newerCut, noCut } from '../../crdt/cut.ts';
import { type CounterState, givenBack } from '../../crdt/merge.ts';
import { mergeSlots, NO_SLOT, newerSlot, type Slot } from '../../crdt/slot.ts';
import {
  type Assertion,
  type Changes,
  type CutRequest,
  type Guarantees,
  isFolded,
  type Lease,
  type NamedCut,
  type NamedSlot,
  type ReplicaId,
  type SlotPage,
  type SlotStore,
  type StoreIdentity,
  UnknownStore,
} from '../slot-store.ts';

const PAGE_NAMES = 1_000;

interface Stored {
  slots: Map<ReplicaId, Slot>;
  cut: Cut<ReplicaId>;
}

/**
 * Carries calls to the store: runs `call` once, several times, later or never, and rejects with `StoreError` if no
 * answer comes back.
 */
export type Line = <Answer>(call: () => Answer) => Promise<Answer>;

/** Nothing goes wrong. */
export const directLine: Line = async (call) => call();

export class MemoryStore {
  readonly guarantees: Guarantees;
  /** Undefined: it has lost its data, and no replica has connected since. */
  #id: string | undefined;
  #term = 1;
  #counters = new Map<string, Stored>();
  #leases = new Map<ReplicaId, Lease>();
  /** Names in the order of their last change: position by name. */
  #feed = new Map<string, number>();
  #position = 0;

  constructor(options: { readonly id: string; readonly durable: boolean }) {
    this.#id = options.id;
    this.guarantees = { durable: options.durable, notes: ['in memory: it ends with its process'] };
  }

  get id(): string | undefined {
    return this.#id;
  }

  get term(): string {
    return `${this.#term}`;
  }

  connect(line: Line = directLine): SlotStore {
    return new MemoryConnection(this, line);
  }

  identity(expected: string | undefined): StoreIdentity {
    this.#id ??= expected ?? 'made anew';
    return { id: this.#id, term: this.term };
  }

  /** Swaps the two stores: clients connected to one reach the other. */
  swap(other: MemoryStore): void {
    [this.#id, other.#id] = [other.#id, this.#id];
    [this.#term, other.#term] = [other.#term, this.#term];
    [this.#counters, other.#counters] = [other.#counters, this.#counters];
    [this.#leases, other.#leases] = [other.#leases, this.#leases];
    [this.#feed, other.#feed] = [other.#feed, this.#feed];
    [this.#position, other.#position] = [other.#position, this.#position];
  }

  /** All its data is lost. */
  wipe(): void {
    this.restart();
    this.#rollBack([], []);
    this.#id = undefined;
  }

  merge({ slots, cuts }: Assertion): void {
    for (const { name, replica, version, net } of slots) {
      const stored = this.#stored(name);
      const before = stored.slots.get(replica) ?? NO_SLOT;
      const next = newerSlot(before, { version, net });
      if (next === before || (this.guarantees.durable && isFolded(stored.cut, { replica, version }))) continue;
      stored.slots.set(replica, next);
      this.#changed(name);
    }
    for (const { name, cut } of cuts) {
      const stored = this.#stored(name);
      const isNewer = newerCut(stored.cut, cut) !== stored.cut;
      if (isNewer) this.#setCut(name, stored, cut);
      else this.#giveBack(name, stored, givenBack(cut, stored.cut));
    }
  }

  read(names: readonly string[]): CounterState<ReplicaId>[] {
    return names.map((name) => {
      const stored = this.#counters.get(name);
      return stored === undefined
        ? { slots: new Map(), cut: noCut() }
        : { slots: new Map(stored.slots), cut: stored.cut };
    });
  }

  changes(cursor: string | undefined, reader?: ReplicaId): Changes {
    const [, term, position] = /^(\d+):(\d+)$/.exec(cursor ?? '') ?? [];
    const next = { cursor: `${this.#term}:${this.#position}`, term: this.term };
    const slots: NamedSlot[] = [];
    const cuts: NamedCut[] = [];
    if (term !== this.term) return { slots, cuts, resync: true, ...next };
    for (const name of this.#changedSince(Number(position))) {
      const stored = this.#stored(name);
      for (const [replica, slot] of stored.slots) if (replica !== reader) slots.push({ name, replica, ...slot });
      if (stored.cut.version > 0n) cuts.push({ name, cut: stored.cut });
    }
    return { slots, cuts, resync: false, ...next };
  }

  cut(requests: readonly CutRequest[]): boolean[] {
    return requests.map(({ name, expectedVersion, next }) => {
      const stored = this.#stored(name);
      if (stored.cut.version !== expectedVersion) return false;
      this.#setCut(name, stored, next);
      return true;
    });
  }

  slotsOf(replica: ReplicaId, cursor: string | undefined): SlotPage {
    const names = [...this.#counters.keys()].sort();
    const from = cursor === undefined ? 0 : names.findIndex((name) => name >= cursor);
    const page = from < 0 ? [] : names.slice(from, from + PAGE_NAMES);
    const slots = page.flatMap((name): NamedSlot[] => {
      const slot = this.#counters.get(name)?.slots.get(replica);
      return slot === undefined ? [] : [{ name, replica, ...slot }];
    });
    return { slots, cursor: names[from + page.length] };
  }

  lease(replica: ReplicaId): Lease | undefined {
    return this.#leases.get(replica);
  }

  leases(): Lease[] {
    return [...this.#leases.values()];
  }

  swapLease(replica: ReplicaId, expectedVersion: number, document: string): boolean {
    if ((this.#leases.get(replica)?.version ?? 0) !== expectedVersion) return false;
    this.#leases.set(replica, { replica, version: expectedVersion + 1, document });
    return true;
  }

  /** It continues in another process and has lost nothing. */
  restart(): void {
    this.#term++;
  }

  /** A copy of the whole store to go back to, with another term unless the term is kept. */
  image(): (keepsTerm?: 'keeps term') => void {
    const counters = [...this.#counters].map(
      ([name, { slots, cut }]) => [name, { slots: new Map(slots), cut }] as const,
    );
    const leases = [...this.#leases];
    return (keepsTerm) => {
      if (keepsTerm === undefined) this.restart();
      this.#rollBack(counters, leases);
    };
  }

  /** Slots and cuts of all counters that it holds. */
  get size(): number {
    let size = 0;
    for (const { slots } of this.#counters.values()) size += slots.size;
    return size;
  }

  names(): string[] {
    return [...this.#counters.keys()];
  }

  #rollBack(counters: readonly (readonly [string, Stored])[], leases: readonly (readonly [ReplicaId, Lease])[]): void {
    this.#counters.clear();
    this.#leases.clear();
    this.#feed.clear();
    for (const [name, { slots, cut }] of counters) this.#counters.set(name, { slots: new Map(slots), cut });
    for (const [replica, lease] of leases) this.#leases.set(replica, lease);
  }

  #setCut(name: string, stored: Stored, cut: Cut<ReplicaId>): void {
    const back = givenBack(stored.cut, cut);
    stored.cut = cut;
    if (this.guarantees.durable) {
      for (const [replica, { version }] of stored.slots) {
        if (isFolded(cut, { replica, version })) stored.slots.delete(replica);
      }
    }
    this.#giveBack(name, stored, back);
    this.#changed(name);
  }

  /** What a losing cut had folded becomes slots again. */
  #giveBack(name: string, stored: Stored, back: ReadonlyMap<ReplicaId, Slot>): void {
    if (back.size === 0) return;
    stored.slots = new Map(mergeSlots(stored.slots, back));
    this.#changed(name);
  }

  #stored(name: string): Stored {
    let stored = this.#counters.get(name);
    if (stored === undefined) {
      stored = { slots: new Map(), cut: noCut() };
      this.#counters.set(name, stored);
    }
    return stored;
  }

  #changed(name: string): void {
    this.#feed.delete(name);
    this.#feed.set(name, ++this.#position);
  }

  #changedSince(since: number): string[] {
    const names: string[] = [];
    for (const [name, position] of this.#feed) if (position > since) names.push(name);
    return names;
  }
}

class MemoryConnection implements SlotStore {
  readonly guarantees: Guarantees;
  readonly #store: MemoryStore;
  readonly #line: Line;
  #met: string | undefined;
  #term: string | undefined;

  constructor(store: MemoryStore, line: Line) {
    this.#store = store;
    this.#line = line;
    this.guarantees = store.guarantees;
  }

  async identity(expected?: string): Promise<StoreIdentity> {
    const identity = await this.#line(() => this.#store.identity(expected));
    this.#met = expected ?? identity.id;
    this.#term = identity.term;
    return identity;
  }

  merge(assertion: Assertion): Promise<void> {
    return this.#ask(() => this.#store.merge(assertion));
  }

  read(names: readonly string[]): Promise<CounterState<ReplicaId>[]> {
    return this.#ask(() => this.#store.read(names), true);
  }

  changes(cursor: string | undefined, reader?: ReplicaId): Promise<Changes> {
    return this.#ask(() => this.#store.changes(cursor, reader));
  }

  cut(requests: readonly CutRequest[]): Promise<boolean[]> {
    // A call that arrives twice is answered with what the first one did.
    let made: boolean[] | undefined;
    return this.#ask(() => {
      const again = this.#store.cut(requests);
      made ??= again;
      return made;
    }, true);
  }

  slotsOf(replica: ReplicaId, cursor: string | undefined): Promise<SlotPage> {
    return this.#ask(() => this.#store.slotsOf(replica, cursor));
  }

  lease(replica: ReplicaId): Promise<Lease | undefined> {
    return this.#ask(() => this.#store.lease(replica));
  }

  leases(): Promise<Lease[]> {
    return this.#ask(() => this.#store.leases());
  }

  swapLease(replica: ReplicaId, expectedVersion: number, document: string): Promise<boolean> {
    return this.#ask(() => this.#store.swapLease(replica, expectedVersion, document));
  }

  async close(): Promise<void> {}

  async #ask<Answer>(call: () => Answer, isUnderTerm = false): Promise<Answer> {
    const answer = await this.#line(() => {
      const isMet = this.#met === undefined || this.#store.id === this.#met;
      const isAsMet = !isUnderTerm || this.#term === undefined || this.#store.term === this.#term;
      return isMet && isAsMet ? { of: call() } : undefined;
    });
    if (answer === undefined) throw new UnknownStore('another store is there, or it has lost its data');
    return answer.of;
  }
}
