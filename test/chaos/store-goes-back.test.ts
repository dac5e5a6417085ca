// A PostgreSQL that is restored from a dump while nodes run on it, and one that only restarts.

import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { eventually } from './eventually.ts';
import { RegionBench, resp } from './region-bench.ts';
import type { RegionNode } from './region-node.ts';

/** More than a node with so much memory can hold. */
const MEMORY = ['--memory', '1MiB'];
const MANY = 6_000;

const shows = (node: RegionNode, values: Readonly<Record<string, bigint>>): Promise<void> =>
  eventually(`${node.name} shows ${Object.values(values).join()}`, async () => {
    const read = await node.values(Object.keys(values), 'region');
    return Object.entries(values).every(([name, value]) => read.get(name) === value);
  });

const isConfirmed = (node: RegionNode): Promise<void> =>
  eventually(`${node.name} has brought everything`, async () => (await node.storeState()).backlog === 0);

describe.skipIf(lacks('pg_dump'))('a store under running nodes', () => {
  let bench: RegionBench;

  beforeEach(async () => {
    bench = await RegionBench.open();
  });
  afterEach(() => bench.close());

  /** The version of each lease. */
  const renewals = async (): Promise<Map<string, number>> => {
    const rows = await bench.store.sql<{ replica: string; version: string }>('SELECT * FROM tallyd.lease');
    return new Map(rows.map(({ replica, version }) => [replica, Number(version)]));
  };

  it('that a dump takes back in time is told what they know, before they forget it', { timeout: 120_000 }, async () => {
    const a = await bench.start('a', ...MEMORY);
    const b = await bench.start('b');
    await resp(a, 'INCRBY x 100', 'INCRBY y 7');
    await shows(b, { x: 100n, y: 7n });
    const dump = join(bench.root, 'dump.sql');
    await bench.store.dump(dump);
    await resp(a, 'INCRBY x 1000');
    await resp(b, 'SET y 5');
    await shows(b, { x: 1_100n });
    await shows(a, { y: 5n });
    const leases = await renewals();
    await eventually('all leases have been renewed', async () => {
      const now = await renewals();
      return [...leases].every(([replica, version]) => (now.get(replica) ?? 0) > version);
    });
    await bench.store.restore(dump);
    for (const node of [a, b]) {
      await eventually(`${node.name} notices`, async () => (await node.storeState()).wentBack === 1);
    }
    const fresh = await bench.start('c');
    await shows(fresh, { x: 1_100n, y: 5n });

    const others = Array.from({ length: MANY }, (_, i) => `INCR other:${i}`);
    for (let from = 0; from < MANY; from += 500) await resp(a, ...others.slice(from, from + 500));
    await eventually('what is not used leaves', async () => (await a.storeState()).evicted > 0);
    await isConfirmed(a);
    await a.stop();
    await a.start();
    for (const node of [a, b, fresh]) await shows(node, { x: 1_100n, y: 5n, [`other:${MANY - 1}`]: 1n });
  });

  it('that restarts and loses nothing is sent nothing', { timeout: 60_000 }, async () => {
    const a = await bench.start('a');
    await resp(a, ...Array.from({ length: 2_000 }, (_, i) => `INCR n:${i}`), 'SET x 5');
    await isConfirmed(a);
    await eventually('the lease says so', async () => {
      const [lease] = await bench.store.sql<{ document: string }>('SELECT document FROM tallyd.lease');
      return BigInt((JSON.parse(lease?.document ?? '{}') as { through: string }).through) > 0n;
    });
    const before = await a.storeState();
    await bench.store.stop();
    await eventually('the node notices', async () => !(await a.storeState()).isAnswering);
    await bench.store.startAgain();
    await eventually('the node goes on', async () => (await a.storeState()).isAnswering);
    // Sets wait until it is known what the store has.
    expect(await resp(a, 'SET x 6')).toEqual(['+OK']);
    const after = await a.storeState();
    expect([after.slotsSent, after.wentBack]).toEqual([before.slotsSent, 0]);
  });
});
