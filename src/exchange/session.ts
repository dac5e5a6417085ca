/**
 * Reading one's own writes through a load balancer: an update answers with a token, and a read that carries it is
 * answered when its replica knows of the update.
 *
 * A token is `replica.version`: what was counted is in the replica's slots from that version on, which need not be
 * durable yet, and leaves the replica only when it is. Where a cut was made `.cut` follows: a cut is in the store
 * before it is answered. Version 0: nothing was counted. A session that has updated through several nodes sends their
 * tokens with commas between them.
 */
import { type Chunk, Flag } from '../counter/chunk.ts';
import { CountingError } from '../counter/errors.ts';
import { Route } from '../counter/route.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { readLease } from './lease.ts';
import { pause } from './pause.ts';
import type { Region } from './region.ts';
import type { SharedCounter } from './shared-counter.ts';

const TOKEN = /^([0-9a-f]{32})\.([0-9]{1,19})(\.cut)?$/;
const TOKENS_MAX = 16;
const ASK_AGAIN_MS = 50;
const PATIENCE_MS = 2_000;

/** What a chunk that was carried out gives to later ones; empty when it has changed nothing that is shared. */
export function sessionToken(chunk: Chunk, replica: ReplicaId): string {
  let hasCut = false;
  for (let i = 0; i < chunk.count && !hasCut; i++) {
    hasCut = chunk.route[i] === Route.decided && chunk.hasFlag(i, Flag.changed);
  }
  return hasCut || chunk.sequence > 0n ? `${replica}.${chunk.sequence}${hasCut ? '.cut' : ''}` : '';
}

/** @throws CountingError invalid_session, not_yet_visible; StoreError */
export async function waitForSession(
  session: string,
  counters: readonly SharedCounter[],
  region: Region,
): Promise<void> {
  const tokens = session.split(',', TOKENS_MAX + 1);
  if (tokens.length > TOKENS_MAX)
    throw new CountingError('invalid_session', `a session has at most ${TOKENS_MAX} tokens`);
  const endMs = region.host.clock.monotonicMs() + PATIENCE_MS;
  for (const token of tokens) await waitForToken(token.trim(), counters, region, endMs);
}

async function waitForToken(
  session: string,
  counters: readonly SharedCounter[],
  region: Region,
  endMs: number,
): Promise<void> {
  const [, replica, version, cut] = TOKEN.exec(session) ?? [];
  if (replica === undefined || version === undefined) throw new CountingError('invalid_session');
  // A replica knows its own cuts.
  if (cut !== undefined && replica !== region.replica) await region.loader.refresh(counters);
  const wanted = BigInt(version);
  const isKnown = (): boolean => counters.every((counter) => counter.knows(replica, wanted));
  const { clock } = region.host;
  while (!isKnown()) {
    // Asked before the counters are read: what comes to the store between the two is not in what was read.
    const isThere = await isPublished(replica, wanted, region);
    await region.loader.refresh(counters);
    if (isThere) return;
    if (clock.monotonicMs() >= endMs) throw new CountingError('not_yet_visible');
    await pause(clock, ASK_AGAIN_MS);
  }
}

/**
 * Whether the store has all that the replica has counted up to this version: a counter that it has not counted on never
 * gets there. Of one that does not run any more the store has everything that is left, and what a crash has lost is not
 * waited for. (One that was taken for dead and lives brings later what it had not; the two can't be told apart.)
 */
async function isPublished(replica: ReplicaId, version: bigint, { store }: Region): Promise<boolean> {
  const lease = await store.lease(replica);
  const document = lease && readLease(lease);
  return document !== undefined && (document.state !== 'running' || BigInt(document.through) >= version);
}
