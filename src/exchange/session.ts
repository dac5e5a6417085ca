/**
 * Reading one's own writes through a load balancer: an update tells whose slot it changed, and to which version; a read that carries
 * this is answered when its replica knows of it.
 */
import { CountingError } from '../counter/errors.ts';
import { tryReadLease } from './lease.ts';
import { pause } from './pause.ts';
import type { Region } from './region.ts';
import type { SharedCounter } from './shared-counter.ts';

const TOKEN = /^([0-9a-f]{32})\.([1-9][0-9]{0,18})$/;
const ASK_AGAIN_MS = 50;
const PATIENCE_MS = 2_000;

/** @throws CountingError invalid_session, not_yet_visible; StoreError */
export async function waitForSession(
  session: string,
  counters: readonly SharedCounter[],
  region: Region,
): Promise<void> {
  const [, replica, version] = TOKEN.exec(session) ?? [];
  if (replica === undefined || version === undefined) throw new CountingError('invalid_session');
  const wanted = BigInt(version);
  const isKnown = (): boolean => counters.every((counter) => counter.knows(replica, wanted));
  const { clock } = region.host;
  const endMs = clock.monotonicMs() + PATIENCE_MS;
  while (!isKnown()) {
    // A counter that the session has not updated has no such version; then it counts how far its replica had come before
    // the counters are read: what it publishes between the two is not in what was read.
    const isPublished = (await publishedThrough(replica, region)) >= wanted;
    await region.loader.refresh(counters);
    if (isPublished) return;
    if (clock.monotonicMs() >= endMs) throw new CountingError('not_yet_visible');
    await pause(clock, ASK_AGAIN_MS);
  }
}

async function publishedThrough(replica: string, { store }: Region): Promise<bigint> {
  const lease = await store.lease(replica);
  return BigInt((lease && tryReadLease(lease)?.through) ?? 0);
}
