/**
 * Which incarnation this replica counts as, and its lease. If it was taken for dead it continues under a fresh id, and
 * records the final state of the earlier ones. If the disk cannot take a change, nothing changes, and the next caller
 * retries.
 */

import type { Host } from '../host/host.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { type Attached, freshIncarnation, membershipOf } from './attach.ts';
import { type Change, type Identity, type IdentityDocument, newId } from './identity.ts';
import type { Place } from './lease.ts';
import { type Own, readNets } from './local-slots.ts';
import type { Membership, MetStore } from './membership.ts';
import type { SharedCounters } from './shared-counters.ts';
import type { SlotJournal } from './slot-journal.ts';

export interface IncarnationsOptions {
  readonly store: MetStore;
  readonly engine: SlotJournal;
  readonly host: Host;
  readonly identity: Identity;
  readonly leaseMs: number;
  readonly place?: Place | undefined;
  readonly counters: SharedCounters;
  /** Up to where the store has confirmed everything. */
  readonly confirmedThrough: () => bigint;
  /** Called when the store has lost our lease as we last wrote it. */
  readonly wentBack: () => void;
  readonly onFatal: (error: unknown) => void;
}

export class Incarnations {
  readonly #options: IncarnationsOptions;
  readonly #ids = new Map<number, ReplicaId>();
  #membership: Membership;
  #own: Own;
  #renewing: Promise<boolean> | undefined;
  #ending: Promise<void> | undefined;
  /** Reported losses of the lease. */
  #losses = 0;

  constructor(options: IncarnationsOptions, { membership, ordinal }: Attached) {
    this.#options = options;
    this.#membership = membership;
    this.#own = { replica: membership.replica, ordinal };
    for (const incarnation of options.identity.document.incarnations)
      this.#ids.set(incarnation.ordinal, incarnation.id);
  }

  /** The current incarnation. */
  get own(): Own {
    return this.#own;
  }

  /** The id of an incarnation of this directory that was not folded when this process began. */
  idOf(ordinal: number): ReplicaId | undefined {
    return this.#ids.get(ordinal);
  }

  /** The store had confirmed everything up to here when the lease was last renewed. */
  get leasedThrough(): bigint {
    return this.#membership.through;
  }

  async holdsLease(): Promise<boolean> {
    return this.#membership.isFresh || (await this.renew());
  }

  /**
   * One renewal at a time: two concurrent swaps would mistake each other for another process. @throws StoreError,
   * IdentityWriteError
   */
  renew(): Promise<boolean> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** Checks our lease in the store now; a pending renewal may have arrived earlier. @throws as `renew` */
  async prove(): Promise<boolean> {
    await this.#renewing?.catch(() => {
      // Its caller is notified.
    });
    return this.renew();
  }

  /**
   * The store has a newer slot of ours than was ever written here. If another process counts under our id, the lease
   * shows it and this process ends. Otherwise the store's data is wrong, and this replica continues under another id.
   * @throws as `renew`
   */
  async leaveId(): Promise<void> {
    const { replica } = this.#own;
    const isHeld = await this.prove();
    if (isHeld && this.#own.replica === replica) await this.#leaveId();
  }

  /**
   * Records in our lease and in the directory that everything known here was sent to the store under this term.
   * @throws as `renew`
   */
  async announce(term: string): Promise<void> {
    const { identity, store } = this.#options;
    this.#membership.reasserted(term);
    await this.renew();
    if (!store.guarantees.durable || identity.document.assertedTerm === term) return;
    await identity.change({ assertedTerm: term }).catch(() => {
      // Then the next start sends it again.
    });
  }

  /**
   * Resolves when the file has the final state of all earlier incarnations.
   * @throws CountingError if the journal fails, IdentityWriteError
   */
  endPast(): Promise<void> {
    this.#ending ??= this.#endPast().finally(() => {
      this.#ending = undefined;
    });
    return this.#ending;
  }

  /** The other process does not know the unpublished counts of this one: no heir may publish them over the other's. */
  async endAsForked(): Promise<void> {
    const { ordinal } = this.#own;
    const mark = ({ incarnations }: IdentityDocument): Change => ({
      incarnations: incarnations.map((one) => (one.ordinal === ordinal ? { ...one, isForked: true } : one)),
    });
    await this.#options.identity.change(mark).finally(() => {
      const error = new Error('another process counts under the id of this one: it is a copy of it');
      this.#options.onFatal(error);
    });
  }

  /**
   * Leaves the baton for the next start, once nothing more is published. @returns whether it is there. @throws
   * StoreError, IdentityWriteError
   */
  async leaveBaton(): Promise<boolean> {
    const { engine, identity, host, store } = this.#options;
    const token = newId(host.random);
    await this.#renewing;
    // Before the lease is swapped: a store that goes back after this has another term.
    const { term } = await store.identity();
    if (!(await this.#membership.leaveBaton(token, engine.durableSequence))) return false;
    await identity.change({ baton: token, batonTerm: term });
    return true;
  }

  async #renewOnce(): Promise<boolean> {
    const membership = this.#membership;
    const tenure = await membership.renew(this.#options.confirmedThrough());
    const isLost = membership.losses > this.#losses;
    if (isLost) {
      this.#losses = membership.losses;
      this.#options.wentBack();
    }
    if (tenure === 'taken') await this.endAsForked();
    if (tenure === 'final') await this.#startAnew();
    // The store has evicted slots in an old state, or not at all. Further counts under this id would be newer than what
    // others know, and replace it.
    if (tenure === 'held' && isLost && this.#options.identity.document.hasEvicted === true) await this.#leaveId();
    return tenure === 'held';
  }

  /** The lease is ours, and is left as in a clean stop, so that the heir need not wait until it expires. */
  async #leaveId(): Promise<void> {
    const membership = this.#membership;
    await this.#startAnew();
    await membership.leaveBaton(newId(this.#options.host.random), this.#options.engine.durableSequence);
  }

  /** What we have counted is folded, or will be; from now on we count under a fresh id. */
  async #startAnew(): Promise<void> {
    const { identity, host, engine, counters } = this.#options;
    const { id, ordinal } = await freshIncarnation(identity, host, undefined);
    this.#ids.set(ordinal, id);
    this.#membership = membershipOf(this.#options, id);
    this.#losses = 0;
    this.#own = { replica: id, ordinal };
    counters.startAnew(id, engine.durableSequence);
    await this.endPast();
  }

  /** The earlier ordinals receive no more counts: they are final when everything applied is durable. */
  async #endPast(): Promise<void> {
    const { identity, engine } = this.#options;
    for (;;) {
      const ended = identity.document.incarnations.filter(
        ({ ordinal, through }) => through === undefined && ordinal < this.#own.ordinal,
      );
      if (ended.length === 0) return;
      // Chunks that wait for room in the engine are applied before this one is.
      for (const { ordinal } of ended) await readNets(engine, ['a'], ordinal);
      await engine.flush();
      const through = `${engine.durableSequence}`;
      const ordinals = new Set(ended.map(({ ordinal }) => ordinal));
      await identity.change(({ incarnations }) => ({
        incarnations: incarnations.map((one) => (ordinals.has(one.ordinal) ? { ...one, through } : one)),
      }));
    }
  }
}
