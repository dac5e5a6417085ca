/** The slot store that a URL names. Drivers are loaded only when they are needed: they are optional packages. */
import type { ServerMemory } from '../store/redis/known-servers.ts';
import { type SlotStore, StoreRefusal } from '../store/slot-store.ts';
import { ValueError } from './setting-values.ts';
import { reasonOf, StartError, systemCode } from './start-error.ts';

/** The deadline of one store call. */
export const CALL_MS = 2_000;

const POSTGRES = ['postgres:', 'postgresql:'];
const REDIS = ['redis:', 'rediss:', 'redis+sentinel:', 'rediss+sentinel:'];

/** Checks a store's URL, which may hold a password and is never shown. @throws ValueError */
export function parseStoreUrl(value: unknown): string {
  const scheme = typeof value === 'string' ? /^([a-z+]+:)\/\/[^/\s]/.exec(value)?.[1] : undefined;
  if (typeof value === 'string' && scheme !== undefined && [...POSTGRES, ...REDIS].includes(scheme)) return value;
  throw new ValueError(
    'not the URL of a store: postgres://user@host/database, redis://host:port, or redis://host:port,host:port,... for a cluster',
  );
}

/**
 * Connects, which needs no answer yet. @param servers keeps what the store names, for the next start. @throws
 * StartError when the driver is missing or the URL makes no sense
 */
export async function openStore(url: string, servers?: ServerMemory): Promise<SlotStore> {
  const scheme = url.slice(0, url.indexOf('//'));
  const driver = POSTGRES.includes(scheme) ? 'pg' : 'redis';
  try {
    if (driver === 'pg') {
      const { PostgresStore } = await import('../store/postgres/postgres-store.ts');
      return await PostgresStore.open({ url, callMs: CALL_MS });
    }
    const { RedisStore } = await import('../store/redis/redis-store.ts');
    return await RedisStore.open({ url, callMs: CALL_MS, ...(servers === undefined ? {} : { servers }) });
  } catch (error) {
    if (systemCode(error) === 'ERR_MODULE_NOT_FOUND') {
      throw new StartError(`the package '${driver}' is not installed: npm install ${driver}`, { cause: error });
    }
    if (error instanceof StoreRefusal) throw new StartError(`store: ${reasonOf(error)}`, { cause: error });
    throw error;
  }
}
