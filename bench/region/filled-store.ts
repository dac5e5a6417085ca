/**
 * A PostgreSQL that many counters lie in before any node comes: filled by SQL, as one replica of long ago would have
 * left it.
 */
import { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { PostgresProcess } from '../../test/wire/postgres-process.ts';
import type { OpenStore } from './stores.ts';

/** It has no lease, so nobody folds what it has counted. */
const FILLER = 'f1'.repeat(16);
const DIGITS = 9;
const SHARED_BUFFERS = 'shared_buffers=1GB';
/** Nothing is promised before it is full. */
const FILLING = [
  'fsync=off',
  'full_page_writes=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'autovacuum=off',
  'checkpoint_timeout=1h',
  'maintenance_work_mem=512MB',
];

export interface FilledStore extends OpenStore {
  /** What the table and its index take on the disk. */
  readonly bytes: number;
}

/** In the order of the index, which so grows at its end. */
export function filledName(counter: number): string {
  return `counter:${String(counter).padStart(DIGITS, '0')}`;
}

/** Each counter has another one. */
export function filledValue(counter: number): number {
  return counter;
}

/** @param root an empty directory */
export async function openFilled(root: string, counters: number): Promise<FilledStore> {
  const postgres = await PostgresProcess.start(root, [SHARED_BUFFERS]);
  const store = await PostgresStore.open({ url: postgres.url() });
  await store.identity();
  await store.close();
  await postgres.stop();
  await postgres.startAgain([SHARED_BUFFERS, ...FILLING]);
  // The log is left out for a table that this very transaction has emptied.
  await postgres.sql(`
    BEGIN;
    TRUNCATE tallyd.slot;
    INSERT INTO tallyd.slot (name, replica, version, net)
      SELECT convert_to('counter:' || lpad(i::text, ${DIGITS}, '0'), 'UTF8'), '${FILLER}', 1, i
      FROM generate_series(0, ${counters - 1}) AS i;
    COMMIT`);
  await postgres.sql('VACUUM (FREEZE, ANALYZE) tallyd.slot');
  await postgres.sql('CHECKPOINT');
  const [size] = await postgres.sql<{ bytes: string }>(`SELECT pg_total_relation_size('tallyd.slot') AS bytes`);
  await postgres.stop();
  await postgres.startAgain([SHARED_BUFFERS]);
  return {
    url: postgres.url(),
    bytes: Number(size?.bytes),
    resume: () => postgres.resume(),
    close: () => postgres.stop(),
  };
}
