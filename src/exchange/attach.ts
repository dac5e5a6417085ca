/**
 * Connects a directory to its store at a start: determines which incarnation counts from now on, and the state of the
 * earlier ones.
 *
 * The first time, the counts that the directory made alone become the slots of one more incarnation, under the
 * directory's own id. That id is registered by compare-and-set, because a second directory with it is a copy and would
 * count everything again.
 */
import { Kind } from '../counter/key.ts';
import type { PolicyTable } from '../counter/policy.ts';
import type { Host } from '../host/host.ts';
import { type SlotStore, StoreError, type StoreIdentity } from '../store/slot-store.ts';
import { ALONE, type Identity, type Incarnation, newId } from './identity.ts';
import { type Place, readLease, writeLease } from './lease.ts';
import { Membership, type MetStore } from './membership.ts';
import { Backoff, pause } from './pause.ts';
import type { SlotJournal } from './slot-journal.ts';

const PAGE_ENTRIES = 10_000;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 1_000;

/** The directory must not be used with this store; the message says why, and what to do. */
export class AttachError extends Error {
  override readonly name = 'AttachError';
}

export interface AttachOptions {
  /** Identifies itself only if it is the right store: see `recognise`. */
  readonly store: MetStore;
  readonly engine: SlotJournal;
  readonly identity: Identity;
  readonly host: Host;
  readonly leaseMs: number;
  /** How long to wait for a store that does not answer, if nothing can be done without it, ms. */
  readonly patienceMs: number;
  readonly policies: PolicyTable;
  readonly place?: Place | undefined;
}

export interface Attached {
  readonly membership: Membership;
  readonly ordinal: number;
  /** The store had confirmed everything of it up to here. */
  readonly confirmedThrough: bigint;
}

/** @throws AttachError, StoreRefusal; StoreError if a first connection gets no answer */
export async function attach(options: AttachOptions): Promise<Attached> {
  const { identity } = options;
  checkOrdinals(options);
  checkPatterns(options);
  const isFirst = identity.document.attachment?.isRegistered !== true;
  const known = await meet(options, isFirst);
  if (isFirst && known !== undefined) await register(options, known);
  return (await resume(options, known)) ?? (await beginAnew(options));
}

/** The membership of an incarnation. */
export function membershipOf(
  options: Pick<AttachOptions, 'store' | 'identity' | 'host' | 'leaseMs' | 'place'>,
  id: string,
): Membership {
  const { store, host, identity, leaseMs, place } = options;
  return new Membership({ replica: id, store, host, leaseMs, place, directory: identity.document.directory });
}

/**
 * The ordinal and id of a new incarnation, which is in the file when this resolves; the others have ended by `through`.
 */
export async function freshIncarnation(
  identity: Identity,
  host: Host,
  through: bigint | undefined,
): Promise<Incarnation> {
  const fresh: Incarnation = { ordinal: identity.document.nextOrdinal, id: newId(host.random) };
  await identity.change(({ nextOrdinal, incarnations }) => {
    const past = incarnations.map((one) =>
      one.through === undefined && through !== undefined ? { ...one, through: `${through}` } : one,
    );
    return { nextOrdinal: nextOrdinal + 1, incarnations: [...past, fresh], baton: undefined, batonTerm: undefined };
  });
  return fresh;
}

/**
 * Every slot in the directory belongs to an incarnation that the file knows, or that is folded. A file older than the
 * journal would assign an ordinal twice, and its counts would count again.
 */
function checkOrdinals({ engine, identity }: AttachOptions): void {
  const { nextOrdinal } = identity.document;
  const isUnknown = (ordinal: number): boolean => ordinal >= nextOrdinal || identity.incarnation(ordinal) === undefined;
  // The files also list slots that were folded and dropped since; only then every record must be checked.
  if ([...engine.recoveredOrdinals].some(isUnknown) && [...engine.slotOrdinals()].some(isUnknown)) {
    throw new AttachError(
      'replica.json does not belong to what this data directory has counted: put the whole directory back from one backup, or start with an empty one',
    );
  }
}

/** A counter that changed its scope would lose its count, or count it twice. */
function checkPatterns({ identity, policies }: AttachOptions): void {
  const { attachment } = identity.document;
  if (attachment === undefined || `${attachment.localPatterns}` === `${policies.localPatterns}`) return;
  const before = attachment.localPatterns.map((pattern) => JSON.stringify(pattern)).join(', ') || 'none';
  throw new AttachError(
    `the policies with "scope: local" are others than when this data directory met its store (then: ${before}): put them back, or move to an empty directory: docs/many-nodes.md, Local counters`,
  );
}

/** Queries the store's identity. Undefined: no answer, and the directory can continue without it. */
async function meet(
  { store, host, patienceMs }: AttachOptions,
  mustAnswer: boolean,
): Promise<StoreIdentity | undefined> {
  const endMs = host.clock.monotonicMs() + patienceMs;
  const backoff = new Backoff(host.random, RETRY_MS_MIN, RETRY_MS_MAX);
  for (;;) {
    try {
      return await store.identity();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!mustAnswer) return undefined;
      if (host.clock.monotonicMs() >= endMs) throw error;
    }
    await pause(host.clock, backoff.next());
  }
}

/**
 * Queries the store's identity, expecting the one that this directory has met. An empty, non-durable store is taken for
 * that one, and everything is sent to it again.
 * @throws AttachError for another store, StoreRefusal, StoreError
 */
export async function recognise(store: SlotStore, { document }: Identity): Promise<StoreIdentity> {
  const { attachment } = document;
  if (attachment === undefined) return store.identity();
  const { durable } = store.guarantees;
  const isOfItsKind = (attachment.isDurable ?? durable) === durable;
  const found = isOfItsKind ? await store.identity(attachment.store) : undefined;
  if (found?.id === attachment.store) return found;
  throw new AttachError(
    'this data directory belongs to another store, which has what was counted here: name that one in --store, or start with an empty directory',
  );
}

async function register(options: AttachOptions, { id }: StoreIdentity): Promise<void> {
  const { identity, engine, host, store, place } = options;
  if (identity.document.attachment === undefined) {
    const hasCounted = surveyCounters(options);
    const incarnations: Incarnation[] = hasCounted
      ? [{ ordinal: ALONE, id: identity.document.directory, through: `${engine.recoveredSequence}` }]
      : [];
    await identity.change({
      attachment: {
        store: id,
        isDurable: store.guarantees.durable,
        nonce: newId(host.random),
        isRegistered: !hasCounted,
        localPatterns: options.policies.localPatterns,
      },
      incarnations,
    });
  }
  const { attachment, directory, incarnations } = identity.document;
  if (attachment === undefined || attachment.isRegistered) return;
  const { nonce } = attachment;
  const through = incarnations[0]?.through ?? '0';
  const content = { state: 'import', directory, nonce, through, place } as const;
  if (!(await writeLease(store, host.clock, { replica: directory, version: 0 }, content))) {
    const lease = await store.lease(directory);
    if (lease === undefined || readLease(lease)?.nonce !== nonce) {
      throw new AttachError(
        'this data directory is a copy of one that is attached to the store already: its counts are there; start with an empty directory',
      );
    }
  }
  await identity.change({ attachment: { ...attachment, isRegistered: true } });
}

/** Whether anything was counted that is shared from now on. @throws AttachError if it cannot be shared */
function surveyCounters({ engine, policies }: AttachOptions): boolean {
  let hasCounted = false;
  let cursor = 0;
  do {
    const page = engine.durablePage(Kind.counter, cursor, PAGE_ENTRIES);
    for (const { name, hasDeadline } of page.entries) {
      if (!policies.isShared(name)) continue;
      if (hasDeadline) {
        throw new AttachError(
          'this data directory has counters with a deadline, which a shared counter cannot have: give their names a policy with "scope: local", or remove the deadlines first',
        );
      }
      hasCounted = true;
    }
    cursor = page.cursor;
  } while (cursor !== 0);
  return hasCounted;
}

/** Continues as the incarnation that stopped cleanly, if its baton is valid. */
async function resume(options: AttachOptions, known: StoreIdentity | undefined): Promise<Attached | undefined> {
  const { identity } = options;
  const { baton, batonTerm, incarnations } = identity.document;
  const last = incarnations.at(-1);
  if (known === undefined || baton === undefined || last === undefined || last.through !== undefined) return undefined;
  // If the store has gone back since, this directory may have gone back with it, and others know later counts.
  if (batonTerm !== undefined && batonTerm !== known.term) return undefined;
  const membership = membershipOf(options, last.id);
  let through: bigint | undefined;
  try {
    through = await membership.redeem(baton);
    if (through === undefined) return undefined;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return undefined;
  }
  await identity.change({ baton: undefined, batonTerm: undefined });
  return { membership, ordinal: last.ordinal, confirmedThrough: through };
}

async function beginAnew(options: AttachOptions): Promise<Attached> {
  const { identity, host, engine } = options;
  const { ordinal, id } = await freshIncarnation(identity, host, engine.recoveredSequence);
  return { membership: membershipOf(options, id), ordinal, confirmedThrough: 0n };
}
