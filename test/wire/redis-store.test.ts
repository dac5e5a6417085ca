// The Redis store against real servers: the checks of every slot store on one server, behind Sentinel and in a
// cluster; then what only Redis does to it.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type ConformanceBench, slotStoreChecks } from '../../src/store/conformance.ts';
import { RedisStore } from '../../src/store/redis/redis-store.ts';
import { RedisCluster, RedisSentinel } from './redis-cluster.ts';
import { freePort, isInstalled, RedisProcess } from './redis-process.ts';

interface Servers {
  readonly url: string;
  stop(): Promise<void>;
}

const SETUPS: Readonly<Record<string, (directory: string) => Promise<Servers>>> = {
  'one server': async (directory) => {
    const server = await RedisProcess.start(directory);
    return { url: `redis://127.0.0.1:${server.address.port}`, stop: () => server.stop() };
  },
  Sentinel: (directory) => RedisSentinel.start(directory),
  'a cluster': (directory) => RedisCluster.start(directory),
};

describe.skipIf(!isInstalled('redis-server')).each(Object.entries(SETUPS))('a store in Redis, %s', (_, start) => {
  const directory = mkdtempSync(join(tmpdir(), 'tallyd-redis-'));
  let servers: Servers;
  beforeAll(async () => {
    servers = await start(directory);
  });
  afterAll(async () => {
    await servers.stop();
    rmSync(directory, { recursive: true });
  });

  const bench: ConformanceBench = {
    connect: () => RedisStore.open({ url: servers.url, callMs: 5_000 }),
    connectToNothing: async () => RedisStore.open({ url: `redis://127.0.0.1:${await freePort()}`, callMs: 300 }),
    randomId: () => randomBytes(16).toString('hex'),
  };
  it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
});
