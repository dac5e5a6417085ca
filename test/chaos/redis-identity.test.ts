// What a Redis is to a node that has met it: the same one also after it has lost everything, and never another
// region's.

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { freePort } from '../wire/free-port.ts';
import { command } from '../wire/redis-cluster.ts';
import { RedisProcess, stopRedisProcesses } from '../wire/redis-process.ts';
import { runTallyd, stopServers } from '../wire/server-process.ts';
import { eventually } from './eventually.ts';
import { resp } from './region-bench.ts';
import { RegionNode } from './region-node.ts';

const ADDRESSES = ['--http', '127.0.0.1:0', '--resp', '127.0.0.1:0'];

describe.skipIf(lacks('redis-server'))('a Redis that a node has met', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-identity-'));
  });
  afterEach(async () => {
    await stopServers();
    await stopRedisProcesses();
    await rm(root, { recursive: true, force: true });
  });

  /** A Redis whose data outlives its process. */
  async function lasting(name: string, port?: number): Promise<RedisProcess> {
    const directory = join(root, name);
    await mkdir(directory, { recursive: true });
    return RedisProcess.start(directory, ['--appendonly', 'yes', '--appendfsync', 'always'], port);
  }
  const urlOf = (port: number): string => `redis://127.0.0.1:${port}`;
  async function node(name: string, port: number): Promise<RegionNode> {
    const [started] = await RegionNode.startAll(join(root, 'nodes'), [name], { store: urlOf(port) });
    return started as RegionNode;
  }
  const shows = (one: RegionNode, x: bigint): Promise<void> =>
    eventually(`${one.name} shows ${x}`, async () => (await one.values(['x'], 'region')).get('x') === x);

  it('is never taken for that of another region', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const stores = [await lasting('a', port), await lasting('b')] as const;
    const a = await node('a', port);
    const b = await node('b', stores[1].address.port);
    await resp(a, 'INCRBY x 5');
    await resp(b, 'INCRBY x 100');
    await shows(b, 100n);
    await a.stop();
    const environment = { TALLYD_STORE: urlOf(stores[1].address.port) };
    const refused = await runTallyd(['serve', ...ADDRESSES, '--data', a.directory], environment);
    expect([refused.code, refused.stderr.includes('belongs to another store')]).toEqual([1, true]);

    // Now the other one comes to its address while it runs.
    await a.start();
    await shows(a, 5n);
    await b.stop();
    for (const store of stores) await store.stop();
    const stranger = await lasting('b', port);
    await eventually('the node notices', async () => !(await a.storeState()).isAnswering);
    expect(await resp(a, 'INCRBY x 1')).toEqual([':6']);
    const c = await node('c', port);
    await shows(c, 100n);
    await c.stop();
    await stranger.stop();
    await lasting('a', port);
    await eventually('the node goes on', async () => (await a.storeState()).backlog === 0);
    const d = await node('d', port);
    await shows(d, 6n);
  });

  it('is the same one when it has lost everything', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const store = await RedisProcess.start(root, [], port);
    const nodes = await RegionNode.startAll(join(root, 'nodes'), ['a', 'b'], { store: urlOf(port) });
    const [a, b] = nodes as [RegionNode, RegionNode];
    await resp(a, 'INCRBY x 5');
    await resp(b, 'INCRBY x 6');
    for (const one of nodes) await shows(one, 11n);
    const id = await command(port, 'HGET', '{tallyd}:meta', 'id');
    await command(port, 'FLUSHALL');
    for (const one of nodes) {
      await eventually(`${one.name} notices`, async () => (await one.storeState()).wentBack === 1);
    }
    const c = await node('c', port);
    await shows(c, 11n);
    await a.stop();
    await store.stop();
    await RedisProcess.start(root, [], port);
    await a.start();
    for (const one of [...nodes, c]) await shows(one, 11n);
    expect(await command(port, 'HGET', '{tallyd}:meta', 'id')).toBe(id);
  });
});
