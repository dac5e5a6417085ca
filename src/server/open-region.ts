/** An engine whose counters are shared with other nodes through a store. */
import { setFlagsFromString } from 'node:v8';
import { type Ack, type Policy, PolicyTable } from '../counter/policy.ts';
import { AttachError } from '../exchange/attach.ts';
import { Exchange } from '../exchange/exchange.ts';
import { IdentityWriteError } from '../exchange/identity.ts';
import type { Place } from '../exchange/lease.ts';
import { StoreError, StoreRefusal } from '../store/slot-store.ts';
import { directoryRefusal } from './directory.ts';
import { host, type OwnedEngine } from './open-engine.ts';
import { CALL_MS, openStore } from './open-store.ts';
import { ServerFile } from './server-file.ts';
import { StartError } from './start-error.ts';

const FLUSH_MS = 20;
const POLL_MS = 20;
/** A replica that has not renewed its lease for this long may be taken for dead. */
export const LEASE_MS = 10_000;
/** Allows for a store that is started together with its nodes. */
const ATTACH_MS = 20_000;
/**
 * With bounded memory, V8 lets its heap grow by this percentage of live memory before it collects. By default it is up
 * to three times as much, and the counters' memory would say little about the process's.
 */
const GARBAGE_PERCENT = 50;

export interface RegionSettings {
  readonly url: string;
  readonly ack: Ack;
  readonly memoryBytes: number | undefined;
  readonly retireAfterMs: number;
  readonly keepFoldedMs: number;
  readonly policies: readonly Policy[];
  readonly place: Place;
  readonly onFailure: (error: unknown) => void;
  readonly onRepaired: () => void;
  readonly onUnwritten: (error: unknown) => void;
  readonly onRetired: (replica: string) => void;
  readonly onDamaged: (what: string) => void;
  readonly onWentBack: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** @throws StartError when the store and the directory do not go together, or a first meeting fails */
export async function openRegion(
  { engine, identity, ownership }: OwnedEngine,
  settings: RegionSettings,
): Promise<Exchange> {
  const { url, policies, ...rest } = settings;
  if (rest.memoryBytes !== undefined) setFlagsFromString(`--heap-growing-percent=${GARBAGE_PERCENT}`);
  const store = await openStore(url, await ServerFile.open(identity.disk, rest.onDamaged));
  try {
    return await Exchange.open({
      ...rest,
      engine,
      identity,
      store,
      host,
      policies: new PolicyTable(policies),
      flushMs: FLUSH_MS,
      pollMs: POLL_MS,
      leaseMs: LEASE_MS,
      callMs: CALL_MS,
      attachMs: ATTACH_MS,
    });
  } catch (error) {
    await store.close();
    if (error instanceof AttachError || error instanceof StoreRefusal) {
      throw new StartError(`store: ${error.message}`, { cause: error });
    }
    if (error instanceof StoreError) {
      throw new StartError(
        `the store does not answer, and this directory has never met it: start the store first (${error.message})`,
        { cause: error },
      );
    }
    if (error instanceof IdentityWriteError) throw directoryRefusal(ownership.directory, error.cause);
    throw error;
  }
}
