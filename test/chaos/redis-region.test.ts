// Three nodes that share their counters through a real Redis Cluster, which forgets what a failover takes from it: what
// was acknowledged is in the final values on every node all the same, once.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { seed } from '../seed.ts';
import { command, RedisCluster } from '../wire/redis-cluster.ts';
import { stopServers } from '../wire/server-process.ts';
import { eventually } from './eventually.ts';
import { Load } from './load.ts';
import { listReplicas, RegionNode } from './region-node.ts';

type Redis = RedisCluster['nodes'][number];

describe.skipIf(lacks('redis-server'))(`three nodes over Redis Cluster, seed ${seed}`, () => {
  let root: string;
  let store: RedisCluster;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-chaos-'));
    store = await RedisCluster.start(root);
  });

  afterEach(async () => {
    await stopServers();
    await store.stop();
    await rm(root, { recursive: true, force: true });
  });

  it('loses and doubles nothing while nodes and masters die and hang', { timeout: 240_000 }, async () => {
    const nodes = await RegionNode.startAll(join(root, 'nodes'), ['a', 'b', 'c'], { store: store.url });
    const [a, b, c] = nodes as [RegionNode, RegionNode, RegionNode];
    const load = new Load(nodes, seed);
    await load.progress(load.clients, 300);

    await a.kill();
    await a.start();
    expect(await b.stop()).toBe(0);
    await b.start();
    await load.progress(load.clients, 100);

    await load.warm();
    // A third of the counters loses its master, and the replica that takes its place has not heard of the last updates.
    const [{ port: master }, { port: survivor }] = store.nodes as [Redis, Redis];
    await command(master, 'ACL', 'SETUSER', 'default', '-psync', '-sync', '-replconf');
    await command(master, 'CLIENT', 'KILL', 'TYPE', 'replica');
    await load.counts(load.clients, 300);
    await store.kill(master);
    load.turn();
    await load.counts(load.clients, 100);
    await eventually('a replica takes over', async () => (await store.ownerOf(0, survivor)) !== master);
    await eventually('the nodes reach it', async () => {
      const states = await Promise.all(nodes.map((node) => node.storeState()));
      return states.every(({ isAnswering }) => isAnswering);
    });
    await load.counts(load.clients, 100);

    store.pause();
    await eventually('the nodes notice', async () => {
      const states = await Promise.all(nodes.map((node) => node.storeState()));
      return states.every(({ isAnswering }) => !isAnswering);
    });
    await load.counts(load.clients, 300);
    load.turn();
    await b.kill();
    await load.counts(load.clientsOf(a, c), 100);
    store.resume();
    await b.start();
    await load.progress(load.clients, 100);

    await load.finish();
    const values = await load.converges();
    await eventually('the heirs have folded what crashes left', async () => {
      const replicas = await listReplicas(store.url);
      return replicas.length === nodes.length;
    });
    expect(await load.check()).toEqual(values);
  });
});
