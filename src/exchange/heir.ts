/**
 * What crashes have left in this directory: slots of earlier incarnations, and what was counted before there was a store. Each
 * is published as it was last durable, then, once nobody can renew its lease any more, marked FINAL, and folded into the
 * counters' cuts; only then does the directory forget it.
 */

import { Kind } from '../counter/key.ts';
import { type Cut, fold, noCut } from '../crdt/cut.ts';
import type { Slot } from '../crdt/slot.ts';
import type { Engine } from '../engine/engine.ts';
import type { Host } from '../host/host.ts';
import type { Lease, NamedSlot, ReplicaId, SlotStore } from '../store/slot-store.ts';
import { ALONE, type Identity, type Incarnation, newId } from './identity.ts';
import { findLease, LEASE_FORMAT, type LeaseDocument, type LeaseState, readLease } from './lease.ts';
import { dropSlots } from './local-slots.ts';
import type { LeaseWatch } from './membership.ts';

const PAGE_ENTRIES = 1_000;

export interface HeirOptions {
  readonly store: SlotStore;
  readonly engine: Engine;
  readonly host: Host;
  readonly identity: Identity;
  readonly watch: LeaseWatch;
  readonly isShared: (name: string) => boolean;
}

type Past = Incarnation & { readonly through: string };

export class Heir {
  readonly #options: HeirOptions;
  /** Those whose slots the store has confirmed. */
  readonly #published = new Set<ReplicaId>();
  /** Those that are folded, and kept because the store can lose that. */
  readonly #folded = new Set<ReplicaId>();

  constructor(options: HeirOptions) {
    this.#options = options;
  }

  /** Publishes and folds again: the store may have lost what it had confirmed. */
  forgetPublished(): void {
    this.#published.clear();
    this.#folded.clear();
  }

  /** Does what can be done now. @throws StoreError, CountingError */
  async step(): Promise<void> {
    const past = this.#past().filter(({ id }) => !this.#folded.has(id));
    for (const incarnation of past) {
      if (!this.#published.has(incarnation.id)) await this.#publish(incarnation);
    }
    if (past.length === 0) return;
    const leases = await this.#options.store.leases();
    const ended: Past[] = [];
    for (const incarnation of past) {
      if (await this.#finalise(incarnation, leases)) ended.push(incarnation);
    }
    if (ended.length > 0) await this.#fold(ended);
  }

  #past(): Past[] {
    return this.#options.identity.record.incarnations.filter((one): one is Past => one.through !== undefined);
  }

  async #publish({ id, ordinal, through }: Past): Promise<void> {
    await this.#forEachPage(ordinal, async (slots) => {
      const version = BigInt(through);
      await this.#options.store.merge({
        slots: slots.map(({ name, net }) => ({ name, replica: id, version, net })),
        cuts: [],
      });
    });
    this.#published.add(id);
  }

  /** Marks the lease FINAL if its owner can't renew it any more. @returns whether it is. */
  async #finalise(incarnation: Past, leases: readonly Lease[]): Promise<boolean> {
    const lease = findLease(leases, incarnation.id);
    // It never got to have one, so it has published nothing by itself.
    if (lease === undefined) return this.#mark(incarnation, 0, 'final');
    const { state } = readLease(lease);
    if (state === 'final' || state === 'folded') return true;
    const isOver = state === 'import' || state === 'baton' || this.#options.watch.hasExpired(lease);
    return isOver && (await this.#mark(incarnation, lease.version, 'final'));
  }

  async #mark({ id, through }: Past, version: number, state: LeaseState): Promise<boolean> {
    const { host, identity, store } = this.#options;
    const document: LeaseDocument = {
      format: LEASE_FORMAT,
      state,
      directory: identity.record.directory,
      nonce: newId(host.random),
      through,
      at: host.clock.nowMs(),
    };
    return store.swapLease(id, version, JSON.stringify(document));
  }

  /** Folds all slots of these, and forgets them where the store keeps them safe. */
  async #fold(ended: readonly Past[]): Promise<void> {
    const { engine, identity, store } = this.#options;
    for (const incarnation of ended) {
      await this.#forEachPage(incarnation.ordinal, async (slots) => {
        const names = slots.map(({ name }) => name);
        await foldSlots(store, this.#options.host, names, new Set(ended.map(({ id }) => id)));
        if (store.guarantees.durable) {
          await dropSlots(
            engine,
            slots.map(({ name, net }) => ({ name, net, ordinal: incarnation.ordinal })),
          );
        }
      });
      // What was evicted is only in the store.
      if (identity.record.hasEvicted === true) await foldReplica(store, this.#options.host, incarnation.id);
      const lease = findLease(await store.leases(), incarnation.id);
      if (lease !== undefined && readLease(lease).state === 'final')
        await this.#mark(incarnation, lease.version, 'folded');
      // Where the store can lose the fold, the directory keeps the slots, to assert them again.
      if (!store.guarantees.durable) {
        this.#folded.add(incarnation.id);
        continue;
      }
      await engine.flush();
      await identity.change(({ incarnations }) => ({
        incarnations: incarnations.filter(({ id }) => id !== incarnation.id),
      }));
    }
  }

  async #forEachPage(
    ordinal: number,
    visit: (slots: readonly { name: string; net: bigint }[]) => Promise<void>,
  ): Promise<void> {
    const kind = ordinal === ALONE ? Kind.counter : Kind.slot;
    let cursor = 0;
    do {
      const page = this.#options.engine.durablePage(kind, cursor, PAGE_ENTRIES);
      const slots = page.entries
        .filter((entry) => entry.ordinal === ordinal && (kind === Kind.slot || this.#options.isShared(entry.name)))
        .map(({ name, value }) => ({ name, net: value }));
      if (slots.length > 0) await visit(slots);
      cursor = page.cursor;
    } while (cursor !== 0);
  }
}

/**
 * Takes the slots of `ended` replicas into the cuts of these counters, as far as the store knows them. The values stay.
 * @throws StoreError
 */
export async function foldSlots(
  store: SlotStore,
  host: Host,
  names: readonly string[],
  ended: ReadonlySet<ReplicaId>,
): Promise<void> {
  let left = [...names];
  while (left.length > 0) {
    const states = await store.read(left);
    const requests = left.flatMap((name, i) => {
      const { slots, cut } = states[i] ?? { slots: new Map<ReplicaId, Slot>(), cut: noCut<ReplicaId>() };
      const dead = new Map([...slots].filter(([id, slot]) => ended.has(id) && isUnfolded(cut, id, slot)));
      if (dead.size === 0) return [];
      return [{ name, expectedVersion: cut.version, next: fold(dead, cut, newId(host.random)) }];
    });
    const made = requests.length === 0 ? [] : await store.cut(requests);
    // Someone else has cut these meanwhile: once more, on top of that.
    left = requests.filter((_, i) => made[i] !== true).map(({ name }) => name);
  }
}

function isUnfolded(cut: Cut<ReplicaId>, replica: ReplicaId, { version }: Slot): boolean {
  return version > (cut.folded.get(replica)?.version ?? 0n);
}

/** The slots of replicas that have no heir any more, folded by whoever is asked to. @throws StoreError */
export async function foldReplica(store: SlotStore, host: Host, replica: ReplicaId): Promise<number> {
  let cursor: string | undefined;
  let count = 0;
  do {
    const page = await store.slotsOf(replica, cursor);
    const names = page.slots.map(({ name }: NamedSlot) => name);
    if (names.length > 0) await foldSlots(store, host, names, new Set([replica]));
    count += names.length;
    cursor = page.cursor;
  } while (cursor !== undefined);
  return count;
}
