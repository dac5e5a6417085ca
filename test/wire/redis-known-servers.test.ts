// Servers that Redis has named lead to it when those in the URL are gone, also after a restart.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisStore } from '../../src/store/redis/redis-store.ts';
import { lacks } from '../programs.ts';
import { freePort } from './free-port.ts';
import { RedisCluster, RedisSentinel, until } from './redis-cluster.ts';
import { stopRedisProcesses } from './redis-process.ts';

/** What one process leaves for the next. */
class Memory {
  servers: readonly string[];

  constructor(servers: readonly string[] = []) {
    this.servers = servers;
  }

  read(): readonly string[] {
    return this.servers;
  }

  keep(_place: string, servers: readonly string[]): void {
    this.servers = servers;
  }
}

describe.skipIf(lacks('redis-server'))('servers that were named', () => {
  const stores: RedisStore[] = [];
  let directory: string;

  async function open(url: string, servers: Memory): Promise<RedisStore> {
    const store = await RedisStore.open({ url, callMs: 5_000, servers });
    stores.push(store);
    return store;
  }

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'tallyd-redis-'));
  });

  afterAll(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await stopRedisProcesses();
    rmSync(directory, { recursive: true });
  });

  it('by a cluster lead there when the only server that the URL names is gone', async () => {
    const cluster = await RedisCluster.start(directory);
    const seed = await cluster.ownerOf(0);
    const memory = new Memory();
    const url = `redis://127.0.0.1:${seed}`;
    const store = await open(url, memory);
    const { id, term } = await store.identity();
    await cluster.kill(seed);
    await until(async () => (await store.identity(id)).term !== term);
    expect((await store.identity(id)).id).toBe(id);
    // A process that starts now goes by what the one before it was told.
    expect((await (await open(url, memory)).identity(id)).id).toBe(id);
  });

  it('by a Sentinel lead to the master when those that the URL names are gone', async () => {
    const sentinel = await RedisSentinel.start(directory);
    const [address, master] = sentinel.place.split('/') as [string, string];
    const memory = new Memory();
    const { id } = await (await open(sentinel.url, memory)).identity();
    expect(memory.servers).toEqual([address]);
    const url = `redis+sentinel://127.0.0.1:${await freePort()}/${master}`;
    expect((await (await open(url, memory)).identity()).id).toBe(id);
  });
});
