// Three nodes over a Redis without persistence, which forgets everything, and whose records a hand damages.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { command } from '../wire/redis-cluster.ts';
import { RedisProcess, stopRedisProcesses } from '../wire/redis-process.ts';
import { stopServers } from '../wire/server-process.ts';
import { eventually } from './eventually.ts';
import { RegionNode } from './region-node.ts';

const BUCKETS = 64;

async function send(node: RegionNode, method: string, path: string, body?: object): Promise<number> {
  const headers = { 'content-type': 'application/json' };
  const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
  return (await fetch(`${node.url}/v1/counters/${path}`, init)).status;
}

it.skipIf(lacks('redis-server'))(
  'what was set or deleted stays so, and a damaged record stops one counter and no node',
  { timeout: 120_000 },
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'tallyd-chaos-'));
    try {
      const redis = await RedisProcess.start(root);
      const { port } = redis.address;
      const nodes = await RegionNode.startAll(join(root, 'nodes'), ['a', 'b', 'c'], {
        store: `redis://127.0.0.1:${port}`,
      });
      const [a, b] = nodes as [RegionNode, RegionNode];
      const everyNode = (what: string, x: bigint, y: boolean): Promise<void> =>
        eventually(what, async () => {
          const read = await Promise.all(nodes.map((node) => node.read(['x', 'y'])));
          return read.every(([first, second]) => first?.value === x && second?.exists === y);
        });
      for (const node of nodes)
        for (const name of ['x', 'y']) await send(node, 'POST', `${name}/increment`, { by: 100 });
      await everyNode('all see all', 300n, true);
      expect(await send(a, 'PUT', 'x', { value: 5 })).toBeLessThan(300);
      expect(await send(b, 'DELETE', 'y')).toBeLessThan(300);
      await everyNode('all see the set and the delete', 5n, false);
      for (const node of nodes) {
        expect(await node.stop()).toBe(0);
        await node.start();
      }
      await redis.stop();
      await RedisProcess.start(root, [], port);
      await everyNode('the set and the delete are back', 5n, false);

      // Slots that the cut has folded are not needed in the store, and need not come back to it.
      expect(await send(a, 'POST', 'x/increment', { by: 1 })).toBe(200);
      await eventually('a slot is in the store, and is damaged', async () => {
        for (let bucket = 0; bucket < BUCKETS; bucket++) {
          const key = `{tallyd:${bucket}}:state`;
          const field = (await command(port, 'HGET', key, 'sx')) as string | null;
          if (typeof field !== 'string' || field === '') continue;
          // Of somebody whom nobody knows, and without its end.
          await command(port, 'HSET', key, 'sx', `${field}${'0'.repeat(32)} 5 1`);
          return true;
        }
        return false;
      });
      for (const node of nodes) {
        expect(await node.stop()).toBe(0);
        await node.start();
        expect((await fetch(`${node.url}/v1/counters/x`)).status).toBe(503);
        expect(await send(node, 'POST', 'z/increment', { by: 1 })).toBe(200);
      }
    } finally {
      await stopServers();
      await stopRedisProcesses();
      await rm(root, { recursive: true, force: true });
    }
  },
);

it.skipIf(lacks('redis-server'))(
  'nothing is presented as whole before every node that ran has brought back what it knows',
  { timeout: 60_000 },
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'tallyd-chaos-'));
    try {
      const redis = await RedisProcess.start(root);
      const { port } = redis.address;
      const options = { store: `redis://127.0.0.1:${port}` };
      const [a] = (await RegionNode.startAll(root, ['a'], options)) as [RegionNode];
      expect(await send(a, 'POST', 'x/increment', { by: 7 })).toBe(200);
      // It has seen the other one run.
      const [b] = (await RegionNode.startAll(root, ['b'], options)) as [RegionNode];
      await eventually('the store has it', async () => (await a.storeState()).backlog === 0);
      a.pause();
      await command(port, 'FLUSHALL');
      await eventually('the node notices', async () => (await b.storeState()).wentBack === 1);
      const asOf = async (name: string): Promise<unknown> =>
        ((await (await fetch(`${b.url}/v1/counters/${name}`)).json()) as { asOf?: string }).asOf;
      const before = await asOf('z');
      const [part] = await b.read(['x']);
      expect(part).toMatchObject({ value: null, own: 0n });
      const refused = await fetch(`${b.url}/v1/counters/x?consistency=region`);
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, 'store_went_back']);
      expect(await asOf('z')).toBe(before);
      a.resume();
      await eventually('all of it is back', async () => (await b.read(['x']))[0]?.value === 7n);
      expect((await b.values(['x'], 'region')).get('x')).toBe(7n);
    } finally {
      await stopServers();
      await stopRedisProcesses();
      await rm(root, { recursive: true, force: true });
    }
  },
);
