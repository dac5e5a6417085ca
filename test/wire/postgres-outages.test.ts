// What the slot store in PostgreSQL does when the server crashes, hangs, or is set up carelessly.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { type NamedSlot, StoreError, StoreRefusal } from '../../src/store/slot-store.ts';
import { lacks } from '../programs.ts';
import { PostgresProcess } from './postgres-process.ts';

const CALL_MS = 1_000;
const randomId = (): string => randomBytes(16).toString('hex');
const slotOf = (name: string): NamedSlot => ({ name, replica: randomId(), version: 1n, net: 1n });

describe.skipIf(lacks('initdb'))('the slot store in a PostgreSQL that has troubles', () => {
  let root: string;
  let server: PostgresProcess;
  let store: PostgresStore;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-postgres-outages-'));
    server = await PostgresProcess.start(root);
    const patient = await PostgresStore.open({ url: server.url() });
    await patient.identity();
    await patient.close();
    store = await PostgresStore.open({ url: server.url(), callMs: CALL_MS });
  });

  afterAll(async () => {
    await store.close();
    await server.stop();
    await rm(root, { recursive: true, force: true });
  });

  /** Asks until the server answers. */
  async function untilBack<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        expect(error).toBeInstanceOf(StoreError);
      }
    }
  }

  it('fails while the server is away, and goes on by itself when it is back', async () => {
    const name = randomId();
    await untilBack(() => store.merge({ slots: [slotOf(name)], cuts: [] }));
    const { cursor, term } = await untilBack(() => store.changes(undefined));
    await server.stop();
    await expect(store.read([name])).rejects.toThrow(StoreError);
    await expect(store.merge({ slots: [slotOf(name)], cuts: [] })).rejects.toThrow(StoreError);
    await expect(store.identity()).rejects.toThrow(StoreError);
    await server.startAgain();
    const [state] = await untilBack(() => store.read([name]));
    expect(state?.slots.size).toBe(1);
    const next = await untilBack(() => store.changes(cursor));
    expect([next.resync, next.term === term]).toEqual([true, false]);
  });

  it('loses nothing in a crash, also where the server is told to confirm early', async () => {
    await server.stop();
    await server.startAgain(['synchronous_commit=off', 'wal_writer_delay=10s']);
    const names = Array.from({ length: 20 }, randomId);
    for (const name of names) await untilBack(() => store.merge({ slots: [slotOf(name)], cuts: [] }));
    await server.stop();
    await server.startAgain();
    const states = await untilBack(() => store.read(names));
    expect(states.map(({ slots }) => slots.size)).toEqual(names.map(() => 1));
  });

  it('is refused by a server that does not write to its disk', async () => {
    await server.stop();
    await server.startAgain(['fsync=off']);
    await expect(untilBack(() => store.identity().catch(refusal))).resolves.toMatch(/fsync = off/);
    await server.stop();
    await server.startAgain();
    await untilBack(() => store.identity());
  });

  it('ends a call that waits for a lock, here and in the server', async () => {
    const other = await server.connect();
    await other.query('BEGIN; LOCK TABLE tallyd.slot IN ACCESS EXCLUSIVE MODE');
    await Promise.all(
      [1, 2, 3, 4, 5, 6].map(async () => {
        await expect(store.merge({ slots: [slotOf('a')], cuts: [] })).rejects.toThrow(StoreError);
      }),
    );
    const waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tallyd' AND wait_event_type = 'Lock'";
    while ((await server.sql(waiting)).length > 0);
    await other.query('COMMIT');
    await other.end();
    await untilBack(() => store.merge({ slots: [slotOf('a')], cuts: [] }));
  });

  it('ends a call to a server that accepts and says nothing, and ends pending ones when it is closed', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const url = `postgres://127.0.0.1:${port}/silent`;
    const patient = await PostgresStore.open({ url, callMs: 60_000 });
    const impatient = await PostgresStore.open({ url, callMs: 200 });
    const pending = patient.read(['a']);
    const ended = expect(pending).rejects.toThrow(StoreError);
    await expect(impatient.read(['a'])).rejects.toThrow(StoreError);
    await Promise.all([ended, patient.close(), impatient.close()]);
    await expect(patient.read(['a'])).rejects.toThrow(/closed/);
    silent.close();
  });
});

function refusal(error: unknown): string {
  if (error instanceof StoreRefusal) return error.message;
  throw error;
}
