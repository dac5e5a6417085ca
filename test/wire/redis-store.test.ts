// The Redis store against real servers: the checks of every slot store on one server, behind Sentinel and in a
// cluster; then what only Redis does to it.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cut, newerCut, noCut, total } from '../../src/crdt/cut.ts';
import { type ConformanceBench, slotStoreChecks } from '../../src/store/conformance.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/store/redis/redis-store.ts';
import { type ReplicaId, type SlotStore, StoreError, StoreRefusal, UnknownStore } from '../../src/store/slot-store.ts';
import { lacks } from '../programs.ts';
import { freePort } from './free-port.ts';
import { command, RedisCluster, RedisSentinel, until } from './redis-cluster.ts';
import { RedisProcess, stopRedisProcesses } from './redis-process.ts';
import { Follower, Owner } from './store-load.ts';

const randomId = () => randomBytes(16).toString('hex');
const urlOf = ({ address }: RedisProcess) => `redis://127.0.0.1:${address.port}`;

const stores = new Set<SlotStore>();
let directory: string;

async function open(url: string, options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = await RedisStore.open({ url, callMs: 5_000, ...options });
  stores.add(store);
  return store;
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tallyd-redis-'));
});

afterAll(async () => {
  await Promise.all(Array.from(stores, (store) => store.close()));
  await stopRedisProcesses();
  rmSync(directory, { recursive: true });
});

async function totals(store: SlotStore, names: readonly string[]): Promise<bigint[]> {
  return (await store.read(names)).map(({ slots, cut }) => total(slots, cut));
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `${randomId()}:${i}`);

describe.skipIf(lacks('redis-server'))('a store in Redis', () => {
  const setups = {
    'one server': async () => urlOf(await RedisProcess.start(directory)),
    Sentinel: async () => (await RedisSentinel.start(directory)).url,
    'a cluster': async () => (await RedisCluster.start(directory)).url,
  };
  describe.each(Object.entries(setups))('%s', (_, start) => {
    let url: string;
    beforeAll(async () => {
      url = await start();
    });
    const bench: ConformanceBench = {
      connect: () => RedisStore.open({ url, callMs: 5_000 }),
      connectToNothing: async () => RedisStore.open({ url: `redis://127.0.0.1:${await freePort()}`, callMs: 300 }),
      randomId,
    };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
  });

  describe('one server', () => {
    it('is refused while it evicts', async () => {
      const server = await RedisProcess.start(directory, ['--maxmemory-policy', 'volatile-lru']);
      const store = await open(urlOf(server));
      const refusal = await store.identity().catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(StoreRefusal);
      expect(String(refusal)).toMatch(/volatile-lru.*set maxmemory-policy noeviction/);
      await command(server.address.port, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
      await store.identity();
    });

    it('is refused with another number of buckets or another format', async () => {
      const server = await RedisProcess.start(directory);
      await (await open(urlOf(server))).identity();
      await expect((await open(urlOf(server), { buckets: 8 })).identity()).rejects.toThrow(StoreRefusal);
      await (await open(urlOf(server), { buckets: 8, prefix: 'other' })).identity();
      await command(server.address.port, 'HSET', '{tallyd}:meta', 'format', '2');
      await expect((await open(urlOf(server))).identity()).rejects.toThrow(StoreRefusal);
    });

    it('is not taken for another one that comes into its place', async () => {
      const server = await RedisProcess.start(directory);
      const { port } = server.address;
      const store = await open(urlOf(server));
      const owner = new Owner(store, names(3));
      await owner.assert();
      const { id } = await store.identity();
      const { cursor } = await store.changes(undefined);
      await server.stop();
      const stranger = await RedisProcess.start(directory, [], port);
      const its = await open(urlOf(stranger));
      const [name] = names(1) as [string];
      await new Owner(its, [name]).assert();
      const calls = [
        () => store.merge({ slots: owner.slots, cuts: [] }),
        () => store.read([name]),
        () => store.changes(cursor),
        () => store.changes(undefined),
        () => store.cut([{ name, expectedVersion: 0n, next: { ...noCut(), version: 1n } }]),
        () => store.slotsOf(randomId(), undefined),
        () => store.lease(randomId()),
        () => store.leases(),
        () => store.swapLease(randomId(), 0, 'x'),
      ];
      for (const asked of [false, true]) {
        for (const call of calls) await expect(call(), `${call} ${asked}`).rejects.toThrow(UnknownStore);
        expect((await store.identity(id)).id).not.toBe(id);
      }
      expect((await its.leases()).length).toBe(0);
      expect((await its.read(owner.slots.map((slot) => slot.name))).every(({ slots }) => slots.size === 0)).toBe(true);
    });

    it('forgets its scripts, and nobody notices', async () => {
      const server = await RedisProcess.start(directory);
      const store = await open(urlOf(server));
      const owner = new Owner(store, names(10));
      owner.start();
      for (let i = 0; i < 10; i++) {
        await command(server.address.port, 'SCRIPT', 'FLUSH');
        await sleep(5);
      }
      await owner.stop();
      expect(owner.failures).toEqual([]);
    });

    it('restarts empty, and whoever follows it hears of it', async () => {
      const server = await RedisProcess.start(directory);
      const store = await open(urlOf(server));
      const owner = new Owner(store, names(3));
      const { id, term } = await store.identity();
      const { cursor } = await store.changes(undefined);
      await owner.assert();
      await server.stop();
      await RedisProcess.start(directory, [], server.address.port);
      await expect(store.changes(cursor)).rejects.toThrow(UnknownStore);
      await expect(owner.assert()).rejects.toThrow(UnknownStore);
      // Those who have met it know it by its id, however many come at once.
      const others = await Promise.all([open(urlOf(server)), open(urlOf(server))]);
      const met = await Promise.all([store, ...others].map((one) => one.identity(id)));
      expect(met.map((one) => one.id)).toEqual([id, id, id]);
      expect(new Set(met.map((one) => one.term)).size).toBe(1);
      expect((await (await open(urlOf(server))).identity()).id).toBe(id);
      const after = await store.changes(cursor);
      expect(after.resync).toBe(true);
      expect(after.term).not.toBe(term);
      await owner.stop();
      expect((await store.changes(after.cursor)).slots).toHaveLength(3);
    });

    it('is flushed, and whoever follows it hears of it', async () => {
      const server = await RedisProcess.start(directory);
      const store = await open(urlOf(server), { buckets: 1 });
      const owner = new Owner(store, names(3));
      const { cursor, term } = await store.changes(undefined);
      await command(server.address.port, 'FLUSHALL');
      await expect(owner.assert()).rejects.toThrow(UnknownStore);
      await store.identity();
      await owner.assert();
      const after = await store.changes(cursor);
      expect([after.resync, after.term === term]).toEqual([true, false]);
    });

    it('goes back in time, and whoever follows it hears of it even when it has moved on since', async () => {
      const server = await RedisProcess.start(directory, ['--enable-debug-command', 'yes']);
      const { port } = server.address;
      const store = await open(urlOf(server), { buckets: 1 });
      const bucket = ['{tallyd:0}:state', '{tallyd:0}:feed'];
      await new Owner(store, names(5)).assert();
      await copy(port, bucket, '', 'before:');
      await new Owner(store, names(5)).assert();
      const { cursor, term } = await store.changes(undefined);
      const other = await open(urlOf(server), { buckets: 1 });
      const begun = await other.changes(undefined);
      await copy(port, bucket, 'before:', '');
      const after = await store.changes(cursor);
      expect([after.resync, after.term === term], 'a version behind the cursor').toEqual([true, false]);
      // Another node, which may have been away, finds out though it has moved on.
      await new Owner(store, names(50)).assert();
      expect((await other.changes(begun.cursor)).term).toBe(after.term);
      await expect(new Owner(other, names(1)).assert()).resolves.toBe(undefined);
      await command(port, 'DEBUG', 'CHANGE-REPL-ID');
      expect((await store.changes(cursor)).resync, 'another history').toBe(true);
    });

    it('does not answer for a while: calls end, and it goes on by itself', async () => {
      const server = await RedisProcess.start(directory);
      const store = await open(urlOf(server), { callMs: 300 });
      const answers = async () => (await store.identity()).id !== '';
      await until(answers);
      server.pause();
      await expect(store.read(['a'])).rejects.toThrow(StoreError);
      await expect(store.swapLease(randomId(), 0, '{}')).rejects.toThrow(StoreError);
      server.resume();
      await until(answers);
    });

    it('sees one more than 2^53 as newer than 2^53', async () => {
      const store = await open(urlOf(await RedisProcess.start(directory)));
      const [name, replica] = [randomId(), randomId()];
      for (const version of [1n << 53n, (1n << 53n) + 1n]) {
        await store.merge({ slots: [{ name, replica, version, net: version }], cuts: [] });
      }
      expect(await totals(store, [name])).toEqual([(1n << 53n) + 1n]);
    });

    it('orders authors of one cut version as everyone does, whatever their characters', async () => {
      const store = await open(urlOf(await RedisProcess.start(directory)));
      // By UTF-16 units the first is above the second, by the bytes of UTF-8 below.
      const cuts = ['\uffee', '\u{1f600}', 'a', 'a\0', 'aa', 'Z', 'ä'].map(
        (author): Cut<ReplicaId> => ({ version: 7n, author, base: 1n, folded: new Map(), isDeleted: false }),
      );
      for (const a of cuts) {
        for (const b of cuts) {
          const name = randomId();
          await store.merge({ slots: [], cuts: [{ name, cut: a }] });
          await store.merge({ slots: [], cuts: [{ name, cut: b }] });
          expect((await store.read([name]))[0]?.cut).toEqual(newerCut(a, b));
        }
      }
    });

    it('needs the rights that the documentation names, and no more', async () => {
      const server = await RedisProcess.start(directory);
      await command(server.address.port, 'ACL', 'SETUSER', 'tallyd', ...documentedRights());
      const url = `redis://tallyd:secret@127.0.0.1:${server.address.port}`;
      const bench = { connect: () => open(url), connectToNothing: () => open(url), randomId };
      for (const { run, title } of slotStoreChecks) if (!title.startsWith('ends every call')) await run(bench);
      await command(server.address.port, 'ACL', 'SETUSER', 'tallyd', '-info');
      await expect((await open(url)).identity()).rejects.toThrow(/NOPERM.*docs\/redis\.md/);
    });

    it('does not have a database of the number that the URL names', async () => {
      const server = await RedisProcess.start(directory, ['--databases', '2']);
      await (await open(`${urlOf(server)}/1`)).identity();
      await expect((await open(`${urlOf(server)}/2`)).identity()).rejects.toThrow(StoreRefusal);
    });

    it('has a password, which no error tells', async () => {
      const secret = 'p:w@d/ %';
      const server = await RedisProcess.start(directory, ['--requirepass', secret]);
      const at = `127.0.0.1:${server.address.port}`;
      await (await open(`redis://:${encodeURIComponent(secret)}@${at}`)).identity();
      const wrong = ['redis://:s3cret@', 'redis://someone:s3cret@', 'redis://:s3cret@127.0.0.1:1,'].map(
        (url) => url + at,
      );
      for (const url of wrong) {
        const error = await (await open(url, { callMs: 300 })).identity().catch((e: unknown) => e);
        expect(String(error)).toMatch(/^Store(Error|Refusal): redis: /);
        expect(inspected(error)).not.toContain('s3cret');
      }
      for (const url of [
        'http://u:s3cret@h',
        'redis://u:s3cret@h:x',
        'redis://u:s3cret%@h',
        'redis+sentinel://u:s3cret@h',
      ]) {
        const error = await RedisStore.open({ url, callMs: 300 }).catch((e: unknown) => e);
        expect(error).toBeInstanceOf(StoreRefusal);
        expect(inspected(error)).not.toContain('s3cret');
      }
    });
  });

  describe('a cluster', () => {
    let cluster: RedisCluster;
    beforeAll(async () => {
      cluster = await RedisCluster.start(directory);
    });

    it('is found from any one of its nodes', async () => {
      const [some] = names(1) as [string];
      const all = await open(cluster.url);
      const { id } = await all.identity();
      for (const { port } of cluster.nodes) {
        const store = await open(`redis://127.0.0.1:${port}`);
        expect((await store.identity()).id).toBe(id);
        const owner = new Owner(store, [some]);
        await owner.assert();
        expect(await totals(all, [some])).toEqual([owner.net]);
      }
    });

    it('needs the rights that the documentation names for a cluster', async () => {
      const rights = [...documentedRights(), '+cluster|slots', '+asking'];
      await Promise.all(cluster.nodes.map(({ port }) => command(port, 'ACL', 'SETUSER', 'tallyd', ...rights)));
      const store = await open(cluster.url.replace('redis://', 'redis://tallyd:secret@'));
      await store.identity();
      await new Owner(store, names(100)).assert();
    });

    it('moves buckets between its masters under load, and nobody notices', async () => {
      const [writing, reading] = [await open(cluster.url), await open(cluster.url)];
      const counters = names(200);
      const { term, cursor } = await reading.changes(undefined);
      const owner = new Owner(writing, counters);
      const follower = new Follower(reading, cursor);
      owner.start();
      follower.start();
      for (let bucket = 0; bucket < 6; bucket++) {
        const slot = await cluster.slotOf(`{tallyd:${bucket}}`);
        const source = await cluster.ownerOf(slot);
        const target = cluster.nodes.slice(0, 3).find(({ port }) => port !== source)?.port as number;
        await cluster.moveSlot(slot, target, 60);
      }
      await owner.stop();
      await follower.stop();
      expect(owner.failures).toEqual([]);
      expect(follower.failures).toEqual([]);
      expect([follower.resyncs, follower.term]).toEqual([0, term]);
      const expected = counters.map(() => owner.net);
      expect(counters.map((name) => follower.totalOf(name))).toEqual(expected);
      expect(await totals(reading, counters)).toEqual(expected);
    });

    it('loses a master under load: calls end, it goes on by itself, and the new term brings everything back', async () => {
      await cluster.isWhole();
      const [writing, reading] = [await open(cluster.url), await open(cluster.url)];
      const counters = names(200);
      const { term } = await writing.identity();
      const { cursor } = await reading.changes(undefined);
      const owner = new Owner(writing, counters);
      const follower = new Follower(reading, cursor);
      owner.start();
      follower.start();
      await sleep(200);
      const slot = await cluster.slotOf('{tallyd:0}');
      const dead = await cluster.ownerOf(slot);
      const survivor = cluster.nodes.find(({ port }) => port !== dead)?.port as number;
      await cluster.kill(dead);
      const newcomer = await open(cluster.url, { callMs: 300 });
      await until(async () => (await newcomer.identity()).term !== term);
      await until(async () => (await cluster.ownerOf(slot, survivor)) !== dead);
      await until(async () => (await writing.identity()).term !== term);
      await until(async () => follower.resyncs > 0);
      await owner.stop();
      await follower.stop();
      for (const failure of [...owner.failures, ...follower.failures]) expect(failure).toBeInstanceOf(StoreError);
      expect(follower.term).not.toBe(term);
      await owner.assert();
      expect(await totals(reading, counters)).toEqual(counters.map(() => owner.net));
      // Whoever opens the store now finds it as well.
      const late = await open(cluster.url);
      expect((await late.identity()).term).toBe((await writing.identity()).term);
    });
  });

  it('behind Sentinel fails over by itself, and the new term tells', async () => {
    const sentinel = await RedisSentinel.start(directory);
    await sentinel.knowsReplica();
    const store = await open(sentinel.url);
    const { term } = await store.identity();
    const counters = names(20);
    const { cursor } = await store.changes(undefined);
    const owner = new Owner(store, counters);
    owner.start();
    await sleep(100);
    await sentinel.servers[0].stop();
    await until(async () => (await store.identity()).term !== term);
    await owner.stop();
    for (const failure of owner.failures) expect(failure).toBeInstanceOf(StoreError);
    expect((await store.changes(cursor)).resync).toBe(true);
    await owner.assert();
    expect(await totals(store, counters)).toEqual(counters.map(() => owner.net));
  });
});

function documentedRights(): string[] {
  const page = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8');
  const [, words = ''] = /^ +ACL SETUSER tallyd (.*)$/m.exec(page) ?? [];
  return words.split(' ');
}

function inspected(error: unknown): string {
  return JSON.stringify(error, Object.getOwnPropertyNames(error)) + String((error as Error).cause);
}

/** Copies keys, to go back to. */
async function copy(port: number, keys: readonly string[], from: string, to: string): Promise<void> {
  for (const key of keys) await command(port, 'COPY', from + key, to + key, 'REPLACE');
}
