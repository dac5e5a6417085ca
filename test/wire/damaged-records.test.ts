// Records that a hand has damaged in the servers themselves: each is refused by name, all others go on, and those who
// know what it said bring it back.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cut, noCut, reset } from '../../src/crdt/cut.ts';
import { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { RedisStore } from '../../src/store/redis/redis-store.ts';
import type { NamedSlot, ReplicaId, SlotStore } from '../../src/store/slot-store.ts';
import { lacks } from '../programs.ts';
import { PostgresProcess } from './postgres-process.ts';
import { command } from './redis-cluster.ts';
import { RedisProcess } from './redis-process.ts';

const randomId = (): string => randomBytes(16).toString('hex');

let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-damage-'));
});

afterAll(() => rm(root, { recursive: true, force: true }));

/** Counters with two slots and a cut each: of one replica that is there, and of one that is not. */
async function counters(store: SlotStore) {
  const names = [randomId(), randomId()] as const;
  const [alive, dead] = [randomId(), randomId()];
  const slots = names.flatMap((name): NamedSlot[] => [
    { name, replica: dead, version: 3n, net: 30n },
    { name, replica: alive, version: 8n, net: 100n },
  ]);
  const cut: Cut<ReplicaId> = reset(new Map([[alive, { version: 2n, net: 2n }]]), noCut(), 'a', 7n, 0);
  await store.merge({ slots, cuts: names.map((name) => ({ name, cut })) });
  const [whole] = await store.read(names);
  return { names, alive, dead, slots, cut, whole };
}

describe.skipIf(lacks('redis-server'))('in Redis', () => {
  let server: RedisProcess;
  let store: RedisStore;

  beforeAll(async () => {
    server = await RedisProcess.start(root);
    store = await RedisStore.open({ url: `redis://127.0.0.1:${server.address.port}`, callMs: 2_000, buckets: 1 });
    await store.identity();
  });

  afterAll(async () => {
    await store.close();
    await server.stop();
  });

  const field = (name: string, text: string) => command(server.address.port, 'HSET', '{tallyd:0}:state', name, text);
  const raw = (name: string) => command(server.address.port, 'HGET', '{tallyd:0}:state', name) as Promise<string>;

  it('a slot that was cut short is refused, and comes back with its replica', async () => {
    const { names, slots, alive } = await counters(store);
    const [name, other] = names;
    const { cursor } = await store.changes(undefined);
    const text = await raw(`s${name}`);
    for (const damaged of [text.slice(0, -1), text.slice(0, -4), text.slice(0, text.indexOf(alive) + 9)]) {
      await field(`s${name}`, damaged);
      expect((await store.read([name]))[0]?.damage).toContain('slots');
      expect((await store.read([name, other])).map(({ damage }) => damage !== undefined)).toEqual([true, false]);
      // Another replica's slot keeps the counter refused, and is not lost; nor is that of another counter in the call.
      const late = { name, replica: randomId(), version: 1n, net: 0n };
      await store.merge({ slots: [late, { ...late, name: other, net: 1n }], cuts: [] });
      const [half] = await store.read([name]);
      expect([half?.damage, half?.slots.has(late.replica)]).toEqual([expect.any(String), true]);
      expect((await store.changes(cursor)).damaged?.map((record) => record.name)).toEqual([name]);
      await store.merge({ slots, cuts: [] });
      const [mended] = await store.read([name]);
      expect(mended?.damage).toBe(undefined);
      expect(mended?.slots.get(alive)).toEqual({ version: 8n, net: 100n });
    }
  });

  it('a cut that is damaged is refused, and comes back with whom knows it', async () => {
    const { names, cut, whole } = await counters(store);
    const [name, other] = names;
    const text = await raw(`c${name}`);
    for (const damaged of [text.slice(0, -1), 'x', '', text.replace('{', '['), `${text}}`]) {
      await field(`c${name}`, damaged);
      expect((await store.read([name, other])).map(({ damage }) => damage !== undefined)).toEqual([true, false]);
      await store.merge({ slots: [], cuts: names.map((one) => ({ name: one, cut })) });
      expect((await store.read([name]))[0]).toEqual(whole);
    }
  });

  it('a lease that is damaged can be swapped', async () => {
    const replica = randomId();
    for (const text of ['', 'x', '5', '5x', '{']) {
      await command(server.address.port, 'HSET', '{tallyd}:leases', replica, text);
      const lease = await store.lease(replica);
      expect(lease?.document).toBe('');
      expect(await store.swapLease(replica, lease?.version ?? -1, 'whole')).toBe(true);
      expect((await store.lease(replica))?.document).toBe('whole');
    }
  });
});

describe.skipIf(lacks('initdb'))('in PostgreSQL', () => {
  let server: PostgresProcess;
  let store: PostgresStore;
  let client: Client;

  beforeAll(async () => {
    server = await PostgresProcess.start(root);
    store = await PostgresStore.open({ url: server.url() });
    await store.identity();
    client = new Client({ connectionString: server.url() });
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
    await store.close();
    await server.stop();
  });

  it('a cut that is damaged is refused, stops nobody, and comes back with whom knows it', async () => {
    const { names, cut, slots, whole } = await counters(store);
    const [name, other] = names;
    const key = Buffer.from(name);
    const damages = [
      `folded = '[]'`,
      `folded = '7'`,
      `folded = '{"x": 1}'`,
      `folded = '{"x": ["1", "2"]}'`,
      `folded = jsonb_set(folded, '{x}', '["99999999999999999999", "1"]')`,
      `base = 'NaN'`,
    ];
    for (const damage of damages) {
      await client.query(`UPDATE tallyd.cut SET ${damage} WHERE name = $1`, [key]);
      expect((await store.read([name, other])).map((state) => state.damage !== undefined)).toEqual([true, false]);
      await store.merge({ slots, cuts: [] });
      await store.merge({ slots: [], cuts: names.map((one) => ({ name: one, cut })) });
      expect((await store.read([name]))[0], damage).toEqual(whole);
    }
  });

  it('a slot that cannot be one is refused, and comes back with its replica', async () => {
    const { names, slots, whole } = await counters(store);
    const [name, other] = names;
    await client.query('UPDATE tallyd.slot SET version = 0 WHERE name = $1', [Buffer.from(name)]);
    await client.query(`INSERT INTO tallyd.slot (name, replica, version, net) VALUES ('\\xff', $1, 1, 1)`, [
      randomId(),
    ]);
    expect((await store.read([name, other])).map((state) => state.damage !== undefined)).toEqual([true, false]);
    await store.merge({ slots, cuts: [] });
    expect((await store.read([name]))[0]).toEqual(whole);
  });
});
