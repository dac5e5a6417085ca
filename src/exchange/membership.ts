/**
 * This replica's lease. It may publish only while the lease is its own: a heartbeat is a compare-and-set, so a replica
 * that was copied while running, or was taken for dead, finds out before it publishes again.
 *
 * Clocks of different nodes are never compared: a lease has expired for an observer when it has not changed for its
 * length by the observer's own clock.
 */
import type { Host, Random } from '../host/host.ts';
import { type Lease, type ReplicaId, type SlotStore, StoreError } from '../store/slot-store.ts';
import { newId } from './identity.ts';
import { type LeaseState, type Place, readLease, writeLease } from './lease.ts';

/** Renewals whose answer may have been lost: this many nonces are recognised. */
const NONCES_KEPT = 256;
/** A swap that fails although the lease is ours was overtaken by an earlier one of ours; there are few of those. */
const SWAPS_MAX = 4;
/** Instead of a term: the store has lost the lease, and has not received again what is known here. */
const LOST = 'lost';

const CHANGES_OF_THE_LIVING = 5;

/** A store that knows its term; `undefined`: not queried yet. */
export type MetStore = SlotStore & { readonly term?: string | undefined };

/**
 * `held`: it is ours. `final`: an heir has taken us for dead. `taken`: someone else renews it, so there are two of us.
 */
export type Tenure = 'held' | 'final' | 'taken';

export class Membership {
  readonly replica: ReplicaId;
  readonly #store: MetStore;
  readonly #host: Host;
  readonly #directory: string;
  readonly #place: Place | undefined;
  readonly #leaseMs: number;
  #version = 0;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  /** Written by us, newest last: a lease with one of these is ours. */
  readonly #nonces: string[] = [];
  #nonceVersion = -1;
  #through = 0n;
  #losses = 0;
  #reasserted = '';
  /** The store's term, as it was known when the lease was last renewed. */
  #term: string | undefined;

  constructor(options: {
    readonly replica: ReplicaId;
    readonly store: MetStore;
    readonly host: Host;
    readonly directory: string;
    readonly place?: Place | undefined;
    readonly leaseMs: number;
  }) {
    this.replica = options.replica;
    this.#store = options.store;
    this.#host = options.host;
    this.#directory = options.directory;
    this.#place = options.place;
    this.#leaseMs = options.leaseMs;
  }

  /** Whether no observer can have taken the lease for expired since the last renewal. */
  get isFresh(): boolean {
    return this.#host.clock.monotonicMs() - this.#renewedAtMs < this.#leaseMs;
  }

  /** Up to where everything had been confirmed when the lease was last renewed. */
  get through(): bigint {
    return this.#through;
  }

  /** The store's term under which everything known here was sent to it. The next renewal states it. */
  reasserted(term: string): void {
    this.#reasserted = term;
  }

  /** How often the store no longer had the lease as it was last written. */
  get losses(): number {
    return this.#losses;
  }

  /**
   * Takes over the lease that a clean stop left.
   * @returns up to where everything had been confirmed; undefined if the token is invalid: another process has redeemed
   *   it
   * @throws StoreError when that is not known; the token is then lost
   */
  async redeem(token: string): Promise<bigint | undefined> {
    const lease = await this.#store.lease(this.replica);
    const document = lease === undefined ? undefined : readLease(lease);
    if (lease === undefined || document?.state !== 'baton' || document.token !== token) return undefined;
    this.#version = lease.version;
    const through = BigInt(document.through);
    return (await this.#swap('running', through)) ? through : undefined;
  }

  /** Renews the lease, or makes it. @param confirmedThrough confirmed up to here. @throws StoreError */
  async renew(confirmedThrough: bigint): Promise<Tenure> {
    let through = confirmedThrough;
    for (let attempt = 0; attempt < SWAPS_MAX; attempt++) {
      if (await this.#swap('running', through)) return 'held';
      const lease = await this.#store.lease(this.replica);
      if ((lease?.version ?? 0) < this.#version) {
        this.#losses++;
        // It may have lost what it had confirmed.
        through = 0n;
        // The term may be unchanged.
        this.#reasserted = LOST;
      }
      const tenure = lease === undefined ? 'held' : await this.#judge(lease);
      if (tenure !== 'held') return tenure;
      // It is ours: a swap that went through without our knowing, or the store has lost it, wholly or its last
      // versions.
      this.#version = lease?.version ?? 0;
    }
    throw new StoreError('the lease has changed at every attempt to renew it');
  }

  /** What a lease means whose version is not the one that we expected. */
  async #judge(lease: Lease): Promise<Tenure> {
    const document = readLease(lease);
    // A damaged lease carries no information; it is rewritten.
    if (document === undefined) return 'held';
    const { state, nonce } = document;
    if (state === 'final' || state === 'folded') return 'final';
    const isRolledBack = lease.version < this.#version;
    if (isRolledBack || this.#nonces.includes(nonce)) return 'held';
    // It may be one of ours from so long ago that we have forgotten it: a store that lost everything was restored from
    // a backup.
    const { term } = await this.#store.identity();
    return term === this.#term ? 'taken' : 'held';
  }

  /** Leaves a token for the next start on this directory. @returns whether it is there. @throws StoreError */
  async leaveBaton(token: string, through: bigint): Promise<boolean> {
    return this.#swap('baton', through, token);
  }

  /** One for each version that is to be replaced, however often that is tried: then no attempt is ever forgotten. */
  #nonceOf(version: number, random: Random): string {
    if (this.#nonceVersion !== version) {
      this.#nonceVersion = version;
      this.#nonces.push(newId(random));
      if (this.#nonces.length > NONCES_KEPT) this.#nonces.shift();
    }
    return this.#nonces.at(-1) as string;
  }

  async #swap(state: LeaseState, through: bigint, token?: string): Promise<boolean> {
    const { clock, random } = this.#host;
    const beganMs = clock.monotonicMs();
    const { term } = this.#store;
    const nonce = this.#nonceOf(this.#version, random);
    const lease = { replica: this.replica, version: this.#version };
    const content = {
      state,
      directory: this.#directory,
      nonce,
      through: `${through}`,
      reasserted: this.#reasserted,
      token,
      place: this.#place,
    };
    if (!(await writeLease(this.#store, clock, lease, content))) return false;
    this.#version++;
    this.#renewedAtMs = beganMs;
    this.#term = term;
    this.#through = through;
    return true;
  }
}

interface Sighting {
  readonly version: number;
  readonly sinceMs: number;
  /** Versions that were seen. */
  readonly changes: number;
}

/** Watches leases of others: which of them have not changed for so long that their owners must have stopped. */
export class LeaseWatch {
  readonly #host: Host;
  readonly #patienceMs: number;
  readonly #seen = new Map<ReplicaId, Sighting>();

  /** @param patienceMs longer than a lease: a renewal may take as long as a call to the store does. */
  constructor(host: Host, patienceMs: number) {
    this.#host = host;
    this.#patienceMs = patienceMs;
  }

  /** Whether its owner can't publish any more without noticing first. To be asked again and again. */
  hasExpired(lease: Lease): boolean {
    const nowMs = this.#host.clock.monotonicMs();
    const seen = this.#seen.get(lease.replica);
    if (seen?.version === lease.version) return nowMs - seen.sinceMs >= this.#patienceMs;
    this.#seen.set(lease.replica, { version: lease.version, sinceMs: nowMs, changes: (seen?.changes ?? 0) + 1 });
    return false;
  }

  /** Whether its owner lives: one renewal, or a store that has gone back, is no sign of life. */
  isAlive(replica: ReplicaId): boolean {
    return (this.#seen.get(replica)?.changes ?? 0) >= CHANGES_OF_THE_LIVING;
  }
}
