// The same as the short tests, for as long as wanted: TALLYD_CHAOS_MINUTES=30 npx vitest run test/chaos/endurance.ts.
// No part of the suite, which runs the same faults in a fixed order: vitest knows this file only when the variable is
// set. One fault after another, drawn from a seed, on three nodes under load over each kind of store.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import { PostgresProcess } from '../wire/postgres-process.ts';
import { RedisCluster } from '../wire/redis-cluster.ts';
import { stopServers } from '../wire/server-process.ts';
import { Load } from './load.ts';
import { RegionNode } from './region-node.ts';

const minutes = Number(process.env['TALLYD_CHAOS_MINUTES'] ?? 0);
const PATIENCE_MS = 300_000;
/** Longer than a lease, and than heirs wait. */
const LONG_MS = 20_000;

type Fault = (node: RegionNode, random: SeededRandom) => Promise<void>;

async function hang(process: { pause(): void; resume(): void } | undefined, random: SeededRandom): Promise<void> {
  process?.pause();
  await sleep(random.below(LONG_MS));
  process?.resume();
}

const NODE_FAULTS: Record<string, Fault> = {
  'a node is killed': async (node, random) => {
    await node.kill();
    await sleep(random.below(LONG_MS));
    await node.start();
  },
  'a node is killed at once after its start': async (node, random) => {
    for (let i = 0; i < 3; i++) {
      await node.kill();
      await node.start();
      await sleep(random.below(500));
    }
  },
  'a node is restarted': async (node) => {
    expect(await node.stop()).toBe(0);
    await node.start();
  },
  'a node hangs': hang,
};

describe(`chaos for ${minutes} minutes each, seed ${seed}`, () => {
  let stop: () => Promise<void> = async () => undefined;
  let root: string;
  afterEach(async () => {
    await stopServers();
    await stop();
    await rm(root, { recursive: true, force: true });
  });

  const run = async (store: string, faults: Record<string, Fault>): Promise<void> => {
    const random = new SeededRandom(seed);
    const nodes = await RegionNode.startAll(join(root, 'nodes'), ['a', 'b', 'c'], { store });
    const load = new Load(nodes, seed);
    const endMs = performance.now() + minutes * 60_000;
    const kinds = Object.entries(faults);
    while (performance.now() < endMs) {
      await load.progress(load.clients, 100);
      const [what, inflict] = kinds[random.below(kinds.length)] as [string, Fault];
      process.stderr.write(`${new Date().toISOString()} ${what}\n`);
      await inflict(nodes[random.below(nodes.length)] as RegionNode, random);
    }
    await load.finish();
    const values = await load.converges();
    await sleep(LONG_MS);
    expect(await load.check()).toEqual(values);
  };

  it('over PostgreSQL', { timeout: minutes * 60_000 + PATIENCE_MS }, async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-endurance-'));
    const store = await PostgresProcess.start(root);
    stop = () => store.stop();
    await run(store.url(), {
      ...NODE_FAULTS,
      'the store hangs': (_, random) => hang(store, random),
      'the store crashes': async (_, random) => {
        await store.stop();
        await sleep(random.below(LONG_MS));
        await store.startAgain();
      },
      'the store and a node crash': async (node) => {
        await Promise.all([store.stop(), node.kill()]);
        await Promise.all([store.startAgain(), node.start()]);
      },
    });
  });

  it('over Redis Cluster', { timeout: minutes * 60_000 + PATIENCE_MS }, async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-endurance-'));
    const store = await RedisCluster.start(root);
    stop = () => store.stop();
    await run(store.url, {
      ...NODE_FAULTS,
      'the store hangs': (_, random) => hang(store, random),
      'a Redis hangs': (_, random) => hang(store.nodes[random.below(store.nodes.length)]?.process, random),
    });
  });
});
