// The slot store in PostgreSQL, against a real server: directly, and behind a pooler that keeps no session.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { slotStoreChecks } from '../../src/store/conformance.ts';
import { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { freePort } from './free-port.ts';
import { findProgram, PgbouncerProcess, PostgresProcess } from './postgres-process.ts';

const randomId = (): string => randomBytes(16).toString('hex');

describe.skipIf(findProgram('initdb') === undefined)('the slot store in PostgreSQL', () => {
  let root: string;
  let server: PostgresProcess;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-postgres-'));
    server = await PostgresProcess.start(root);
  });

  afterAll(async () => {
    await server.stop();
    await rm(root, { recursive: true, force: true });
  });

  const nothing = async (): Promise<PostgresStore> =>
    PostgresStore.open({ url: `postgres://127.0.0.1:${await freePort()}/nothing`, callMs: 1_000 });

  describe('directly', () => {
    const bench = {
      connect: () => PostgresStore.open({ url: server.url() }),
      connectToNothing: nothing,
      randomId,
    };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
  });

  describe.skipIf(findProgram('pgbouncer') === undefined)('behind a pooler of transactions', () => {
    let pooler: PgbouncerProcess;
    beforeAll(async () => {
      pooler = await PgbouncerProcess.start(root, server);
    });
    afterAll(() => pooler.stop());

    const bench = {
      connect: () => PostgresStore.open({ url: pooler.url(), schema: 'pooled' }),
      connectToNothing: nothing,
      randomId,
    };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
  });
});
