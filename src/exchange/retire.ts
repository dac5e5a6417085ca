/**
 * Replicas without an heir, whose disks are gone. A node folds their slots on request, or any node after a long time.
 */
import type { Host } from '../host/host.ts';
import type { Lease, ReplicaId, SlotStore } from '../store/slot-store.ts';
import { foldReplica } from './heir.ts';
import { newId } from './identity.ts';
import { type LeaseState, readLease, writeLease } from './lease.ts';
import { LeaseWatch } from './membership.ts';
import { pause } from './pause.ts';

const LOOK_AGAIN_MS = 500;
const RENEWALS_OF_THE_LIVING = 2;

/** Why a replica was not retired: it does not exist, or it is alive. */
export type RetireRefusal = 'unknown' | 'alive';

export interface Retired {
  /** Counters that it had slots of. */
  readonly counters: number;
}

/**
 * Watches a replica's lease for `patienceMs`, then marks it FINAL and folds its slots. If its owner comes back, it adds
 * only its excess.
 * @throws StoreError
 */
export async function retire(
  store: SlotStore,
  host: Host,
  replica: ReplicaId,
  patienceMs: number,
): Promise<Retired | RetireRefusal> {
  const watch = new LeaseWatch(host, patienceMs);
  const endMs = host.clock.monotonicMs() + 2 * patienceMs;
  let firstVersion: number | undefined;
  for (;;) {
    const lease = await store.lease(replica);
    if (lease === undefined) return 'unknown';
    firstVersion ??= lease.version;
    if (isEnded(readLease(lease)?.state) || watch.hasExpired(lease)) return finish(store, host, lease);
    // One renewal may have been pending when its owner died.
    if (lease.version - firstVersion >= RENEWALS_OF_THE_LIVING || host.clock.monotonicMs() > endMs) return 'alive';
    await pause(host.clock, LOOK_AGAIN_MS);
  }
}

/**
 * Retires what has not renewed its lease for `afterMs` by the clocks of its owner and of this host, and, lest these be
 * wrong, not while `watch` has looked on either. To be called again and again.
 * @returns those that were retired
 * @throws StoreError
 */
export async function retireAbandoned(
  store: SlotStore,
  host: Host,
  watch: LeaseWatch,
  afterMs: number,
): Promise<readonly ReplicaId[]> {
  const retired: ReplicaId[] = [];
  for (const lease of await store.leases()) {
    const document = readLease(lease);
    if (document === undefined) continue;
    const { state, at } = document;
    const isAbandoned = state !== 'folded' && state !== 'import' && host.clock.nowMs() - at > afterMs;
    if (!watch.hasExpired(lease) || !isAbandoned) continue;
    if (typeof (await finish(store, host, lease)) !== 'string') retired.push(lease.replica);
  }
  return retired;
}

async function finish(store: SlotStore, host: Host, lease: Lease): Promise<Retired | RetireRefusal> {
  let current = lease;
  if (!isEnded(readLease(lease)?.state)) {
    if (!(await mark(store, host, lease, 'final'))) return 'alive';
    current = { ...lease, version: lease.version + 1 };
  }
  const counters = await foldReplica(store, host, lease.replica);
  if (readLease(lease)?.state !== 'folded') await mark(store, host, current, 'folded');
  return { counters };
}

function isEnded(state: LeaseState | undefined): boolean {
  return state === 'final' || state === 'folded';
}

function mark(store: SlotStore, host: Host, lease: Lease, state: LeaseState): Promise<boolean> {
  const { directory, through, place } = readLease(lease) ?? { directory: '', through: '0' };
  return writeLease(store, host.clock, lease, { state, directory, nonce: newId(host.random), through, place });
}
