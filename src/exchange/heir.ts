/**
 * Publishes what crashes have left in this directory: slots of earlier incarnations, and counts from before there was a
 * store. Once an incarnation's lease can no longer be renewed, its slots are published as they were last durable,
 * marked FINAL, and folded into the counters' cuts. The directory still keeps them for a time, and sends them again to
 * a store that goes back to before the fold.
 */
import { CountingError } from '../counter/errors.ts';
import { Kind } from '../counter/key.ts';
import type { PolicyTable } from '../counter/policy.ts';
import { type Cut, fold, noCut } from '../crdt/cut.ts';
import type { Slot } from '../crdt/slot.ts';
import type { Host } from '../host/host.ts';
import type { Lease, NamedSlot, ReplicaId, SlotStore, StoredState } from '../store/slot-store.ts';
import { ALONE, type Identity, type Incarnation, newId } from './identity.ts';
import type { KeptCuts } from './kept-cuts.ts';
import { type LeaseState, readLease, writeLease } from './lease.ts';
import { dropSlots } from './local-slots.ts';
import type { LeaseWatch } from './membership.ts';
import { Backoff, pause } from './pause.ts';
import type { SlotJournal } from './slot-journal.ts';
import { COUNTER_STEPS } from './turns.ts';

const PAGE_ENTRIES = 1_000;
const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 1_000;
/** Folded incarnations whose slots are kept, at most: a node that crashes again and again does not fill its disk. */
const KEPT_MAX = 32;

export interface HeirOptions {
  readonly store: SlotStore;
  readonly engine: SlotJournal;
  readonly host: Host;
  readonly identity: Identity;
  readonly watch: LeaseWatch;
  readonly kept: KeptCuts;
  readonly policies: PolicyTable;
  /** How long what was folded is kept. */
  readonly keepFoldedMs: number;
}

type Past = Incarnation & { readonly through: string };

/** What an incarnation has counted on a counter. */
interface Net {
  readonly name: string;
  readonly net: bigint;
}

export class Heir {
  readonly #options: HeirOptions;
  /**
   * Those whose slots the store has confirmed. A publication that was pending when the store was found to have gone
   * back adds to the old set.
   */
  #published = new Set<ReplicaId>();
  /** Those that are folded since the store last went back. */
  #folded = new Set<ReplicaId>();
  /** It has gone back, and earlier folds are sent again, even under the same term. */
  #isLost = false;
  /** The store's term, unless it may have changed. */
  #term: string | undefined;
  #isStopped = false;

  constructor(options: HeirOptions) {
    this.#options = options;
  }

  /** Pending work ends with an error. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Publishes and folds again: the store may have lost what it had confirmed. */
  forgetPublished(): void {
    this.#published = new Set();
    this.#folded = new Set();
    this.#term = undefined;
    this.#isLost = true;
  }

  /**
   * Whether the store has received all of it from here since it last went back, except what a live process still counts
   * under the same id.
   */
  get isThrough(): boolean {
    return this.#past().every(
      (one) => this.#isDone(one) || this.#published.has(one.id) || this.#options.watch.isAlive(one.id),
    );
  }

  /** Does what can be done now. @throws StoreError, CountingError */
  async step(): Promise<void> {
    const all = this.#past();
    if (all.length === 0) return;
    this.#term ??= (await this.#options.store.identity()).term;
    const past = all.filter((one) => !this.#isDone(one));
    await this.#forget(all.filter((one) => !past.includes(one)));
    const ended: Past[] = [];
    for (const incarnation of past) {
      const lease = await this.#options.store.lease(incarnation.id);
      if (!this.#isOver(incarnation, lease)) continue;
      if (!this.#published.has(incarnation.id)) await this.#publish(incarnation);
      if (await this.#finalise(incarnation, lease)) ended.push(incarnation);
    }
    for (const incarnation of ended) await this.#fold(incarnation);
  }

  #past(): Past[] {
    const { incarnations } = this.#options.identity.document;
    return incarnations.filter((one): one is Past => one.through !== undefined && one.isForked !== true);
  }

  /** Whether it is folded, as the store has it. */
  #isDone({ id, foldedTerm }: Past): boolean {
    const isFolded = !this.#isLost && foldedTerm !== undefined && foldedTerm === this.#term;
    return isFolded || this.#folded.has(id);
  }

  /**
   * Whether no process can continue under its id. Until then publish nothing under its id: a cloned machine may still
   * be running and know more.
   */
  #isOver({ foldedAt }: Past, lease: Lease | undefined): boolean {
    // It never had one, so it has published nothing itself; or it ended before the store went back.
    if (lease === undefined || foldedAt !== undefined) return true;
    return (readLease(lease)?.state ?? 'running') !== 'running' || this.#options.watch.hasExpired(lease);
  }

  async #publish({ id, ordinal, through }: Past): Promise<void> {
    const published = this.#published;
    await this.#forEachPage(ordinal, (slots) =>
      this.#options.store.merge({
        slots: slots.map(({ name, net }) => ({ name, replica: id, version: BigInt(through), net })),
        // A slot is never sent without the cut that covers it.
        cuts: this.#options.kept.of(slots.map(({ name }) => name)),
      }),
    );
    published.add(id);
  }

  /** Marks the lease FINAL. @returns whether it is; another process may have been first. */
  async #finalise(incarnation: Past, lease: Lease | undefined): Promise<boolean> {
    const state = lease === undefined ? undefined : readLease(lease)?.state;
    return state === 'final' || state === 'folded' || this.#mark(incarnation, lease, 'final');
  }

  #mark({ id, through }: Past, lease: Lease | undefined, state: LeaseState): Promise<boolean> {
    const { host, identity, store } = this.#options;
    const place = lease && readLease(lease)?.place;
    const content = { state, directory: identity.document.directory, nonce: newId(host.random), through, place };
    return writeLease(store, host.clock, { replica: id, version: lease?.version ?? 0 }, content);
  }

  /** Folds all its slots, and forgets them where the store keeps them safe. */
  async #fold(incarnation: Past): Promise<void> {
    const { identity, store, host } = this.#options;
    const { id, ordinal } = incarnation;
    const [folded, foldedTerm] = [this.#folded, this.#term];
    let isComplete = true;
    await this.#forEachPage(ordinal, async (slots) => {
      await foldSlots(
        store,
        host,
        slots.map(({ name }) => name),
        new Set([id]),
        () => this.#isStopped,
      );
      const kept = await this.#unfolded(incarnation, slots);
      isComplete &&= kept.size === 0;
    });
    // What was evicted is only in the store.
    if (identity.document.hasEvicted === true) await foldReplica(store, host, id, () => this.#isStopped);
    const lease = await store.lease(id);
    if (lease !== undefined && readLease(lease)?.state === 'final') await this.#mark(incarnation, lease, 'folded');
    if (!isComplete) {
      // The store has lost something since the publication: start again from the beginning.
      this.#published.delete(id);
      return;
    }
    // The directory keeps the slots, to assert them again: where the store can lose the fold for good, else for a time.
    if (!store.guarantees.durable) {
      folded.add(id);
      return;
    }
    const foldedAt = host.clock.nowMs();
    await identity.change(({ incarnations }) => ({
      incarnations: incarnations.map((one) => (one.id === id ? { ...one, foldedAt, foldedTerm } : one)),
    }));
    folded.add(id);
  }

  /** Drops folds that are so old that no store goes back before them, and the oldest if there are too many. */
  async #forget(past: readonly Past[]): Promise<void> {
    const { engine, identity, host, keepFoldedMs } = this.#options;
    const folded = past.filter(({ foldedAt }) => foldedAt !== undefined);
    const nowMs = host.clock.nowMs();
    for (const [i, { id, ordinal, foldedAt = nowMs }] of folded.entries()) {
      if (nowMs - foldedAt < keepFoldedMs && folded.length - i <= KEPT_MAX) continue;
      await this.#forEachPage(ordinal, (slots) =>
        dropSlots(
          engine,
          slots.map((slot) => ({ ...slot, ordinal })),
        ),
      );
      await engine.flush();
      await identity.change(({ incarnations }) => ({ incarnations: incarnations.filter((one) => one.id !== id) }));
    }
  }

  /** Names whose cut in the store does not contain the slots here; these must be kept. */
  async #unfolded({ id, through }: Past, slots: readonly Net[]): Promise<ReadonlySet<string>> {
    const states = await this.#options.store.read(slots.map(({ name }) => name));
    const isFolded = (i: number): boolean => (states[i]?.cut.folded.get(id)?.version ?? 0n) >= BigInt(through);
    return new Set(slots.filter((_, i) => !isFolded(i)).map(({ name }) => name));
  }

  async #forEachPage(ordinal: number, visit: (slots: readonly Net[]) => Promise<void>): Promise<void> {
    const kind = ordinal === ALONE ? Kind.counter : Kind.slot;
    let cursor = 0;
    do {
      // Other work has its turn between two pages, even empty ones.
      await this.#options.engine.turn(PAGE_ENTRIES * COUNTER_STEPS);
      const page = this.#options.engine.durablePage(kind, cursor, PAGE_ENTRIES);
      const slots = page.entries
        .filter(
          (entry) => entry.ordinal === ordinal && (kind === Kind.slot || this.#options.policies.isShared(entry.name)),
        )
        .map(({ name, value }) => ({ name, net: value }));
      if (slots.length > 0) await visit(slots);
      cursor = page.cursor;
      if (this.#isStopped) throw new CountingError('shutting_down');
    } while (cursor !== 0);
  }
}

/**
 * Folds the slots of `ended` replicas into the cuts of these counters, as far as the store has them. The values do not
 * change.
 * @throws StoreError; CountingError if it is stopped while others keep cutting the same counters
 */
export async function foldSlots(
  store: SlotStore,
  host: Host,
  names: readonly string[],
  ended: ReadonlySet<ReplicaId>,
  isStopped: () => boolean = () => false,
): Promise<void> {
  const backoff = new Backoff(host.random, RETRY_MS_MIN, RETRY_MS_MAX);
  let left = [...names];
  while (left.length > 0) {
    const states = await store.read(left);
    const requests = left.flatMap((name, i) => {
      const { slots, cut, damage }: StoredState = states[i] ?? { slots: new Map<ReplicaId, Slot>(), cut: noCut() };
      // A cut made from a part would lose the rest.
      if (damage !== undefined) return [];
      const dead = new Map([...slots].filter(([id, slot]) => ended.has(id) && isUnfolded(cut, id, slot)));
      if (dead.size === 0) return [];
      return [{ name, expectedVersion: cut.version, next: fold(dead, cut, newId(host.random)) }];
    });
    const made = requests.length === 0 ? [] : await store.cut(requests);
    // Another replica has cut these meanwhile: retry on top of its cut.
    left = requests.filter((_, i) => made[i] !== true).map(({ name }) => name);
    if (left.length === 0) return;
    if (isStopped()) throw new CountingError('shutting_down');
    await pause(host.clock, backoff.next());
  }
}

function isUnfolded(cut: Cut<ReplicaId>, replica: ReplicaId, { version }: Slot): boolean {
  return version > (cut.folded.get(replica)?.version ?? 0n);
}

/** Folds the slots of replicas that have no heir, on request. @throws StoreError */
export async function foldReplica(
  store: SlotStore,
  host: Host,
  replica: ReplicaId,
  isStopped: () => boolean = () => false,
): Promise<number> {
  let cursor: string | undefined;
  let count = 0;
  do {
    const page = await store.slotsOf(replica, cursor);
    const names = page.slots.map(({ name }: NamedSlot) => name);
    if (names.length > 0) await foldSlots(store, host, names, new Set([replica]), isStopped);
    count += names.length;
    cursor = page.cursor;
  } while (cursor !== undefined);
  return count;
}
