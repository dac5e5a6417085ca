// Nodes of a region over PostgreSQL that are stopped for an upgrade, or lose their disk, under load.

import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { seed } from '../seed.ts';
import { eventually } from './eventually.ts';
import { Load } from './load.ts';
import { PostgresRegion } from './postgres-region.ts';
import { listReplicas, retire, runningReplicas } from './region-node.ts';

describe.skipIf(lacks('initdb'))(`nodes over PostgreSQL come and go, seed ${seed}`, () => {
  let region: PostgresRegion;

  beforeEach(async () => {
    region = await PostgresRegion.start();
  });

  afterEach(() => region.stop());

  it('a rolling restart adds no replica, and no update ends in doubt but those cut off', {
    timeout: 120_000,
  }, async () => {
    const { store } = region;
    const nodes = await region.startThree();
    const load = new Load(nodes, seed);
    await load.progress(load.clients, 100);
    const before = await runningReplicas(store.url());
    for (const node of nodes) {
      expect(await node.stop()).toBe(0);
      await node.start();
      await load.progress(load.clients, 50);
    }
    await load.finish();
    await load.converges();
    expect(await runningReplicas(store.url())).toEqual(before);
    const listed = await listReplicas(store.url());
    expect(listed.map(({ host, path }) => ({ host, path })).sort((a, b) => a.path.localeCompare(b.path))).toEqual(
      nodes.map(({ directory }) => ({ host: hostname(), path: directory })),
    );
  });

  it('with --ack store a lost disk takes no acknowledged update along', { timeout: 120_000 }, async () => {
    const { store } = region;
    const nodes = await region.startThree('--ack', 'store');
    const [a, b, c] = nodes;
    const load = new Load(nodes, seed);
    await load.progress(load.clients, 100);
    const { replica } = await b.storeState();
    // What it counts from here on it can tell nobody, so it must not acknowledge it either.
    store.pause();
    await sleep(500);
    await b.kill();
    store.resume();
    await b.loseDisk();
    await load.progress(load.clientsOf(a, c), 100);
    await b.start();
    expect((await b.storeState()).replica).not.toBe(replica);
    await load.progress(load.clients, 100);
    await load.finish();
    const unfolded = await load.converges();

    expect(await retire(store.url(), replica)).toMatchObject({ code: 0 });
    await eventually('the lost replica is folded', async () => {
      const replicas = await listReplicas(store.url());
      return !replicas.some((listed) => listed.replica === replica);
    });
    expect(await load.check()).toEqual(unfolded);
  });
});
