// Three nodes that share their counters through a real PostgreSQL, under load, while nodes and the store die, hang and
// come back: what was acknowledged is in the final values on every node, once.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { seed } from '../seed.ts';
import { eventually } from './eventually.ts';
import { Load } from './load.ts';
import { PostgresRegion } from './postgres-region.ts';
import { listReplicas, retire } from './region-node.ts';

describe.skipIf(lacks('initdb'))(`three nodes over PostgreSQL, seed ${seed}`, () => {
  let region: PostgresRegion;

  beforeEach(async () => {
    region = await PostgresRegion.start();
  });

  afterEach(() => region.stop());

  it('loses and doubles nothing while nodes and the store die and hang', { timeout: 240_000 }, async () => {
    const { store } = region;
    const nodes = await region.startThree();
    const [a, b, c] = nodes;
    const load = new Load(nodes, seed);
    await load.progress(load.clients, 300);

    load.turn();
    await a.kill();
    await a.start();
    await load.progress(load.clients, 100);

    await load.warm();
    await store.stop();
    await load.counts(load.clients, 200);
    await b.kill();
    await load.counts(load.clientsOf(a, c), 200);
    await store.startAgain();
    await b.start();
    await load.progress(load.clients, 100);

    await load.warm();
    load.turn();
    store.pause();
    await eventually('the nodes notice', async () => {
      const states = await Promise.all(nodes.map((node) => node.storeState()));
      return states.every(({ isAnswering }) => !isAnswering);
    });
    await load.counts(load.clients, 200);
    load.turn();
    // Long enough for one more attempt to fail that brought what was counted last.
    await sleep(5_000);
    await load.counts(load.clients, 100);
    store.resume();
    await load.progress(load.clients, 100);

    // Taken for dead while it hangs: what it has counted is folded, and it goes on under a fresh id.
    const { replica } = await c.storeState();
    load.turn();
    c.pause();
    const retired = retire(store.url(), replica);
    await load.counts(load.clientsOf(a, b), 300);
    expect(await retired).toMatchObject({ code: 0 });
    c.resume();
    await load.progress(load.clientsOf(c), 300);
    expect((await c.storeState()).replica).not.toBe(replica);

    await load.finish();
    const values = await load.converges();
    await eventually('the heirs have folded what crashes left', async () => {
      const replicas = await listReplicas(store.url());
      return replicas.length === nodes.length && replicas.every(({ state }) => state === 'running');
    });
    expect(await load.check()).toEqual(values);
  });
});
