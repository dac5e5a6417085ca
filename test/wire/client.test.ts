// The SDK against the real server: every call, and exact counts while the server is killed again and again.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Entry, RefusedError, TallydClient } from '../../src/client/client.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import { ServerProcess, stopServers } from './server-process.ts';

const MAX = 2n ** 63n - 1n;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-client-'));
});
afterAll(async () => {
  await stopServers();
  await rm(directory, { recursive: true, force: true });
});

const addressOf = (server: ServerProcess): string => `127.0.0.1:${server.http?.port}`;

async function allOf(entries: AsyncIterable<Entry>): Promise<Entry[]> {
  const found: Entry[] = [];
  for await (const entry of entries) found.push(entry);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

describe('the client', () => {
  let client: TallydClient;
  beforeAll(async () => {
    const config = join(directory, 'config.yaml');
    await writeFile(config, 'policies:\n  - match: "stock:*"\n    floor: 0\n');
    const server = await ServerProcess.start({ data: join(directory, 'calls'), flags: ['--config', config] });
    client = new TallydClient({ url: `http://${addressOf(server)}` });
  });

  it('counts over the whole range', async () => {
    expect(await client.increment('a')).toBe(1n);
    expect(await client.decrement('a', 3)).toBe(-2n);
    expect(await client.increment('a', MAX)).toBe(MAX - 2n);
    expect(await client.get('a')).toBe(MAX - 2n);
    await expect(client.increment('a', 3)).rejects.toMatchObject({
      name: 'RefusedError',
      code: 'overflow',
      status: 409,
    });
    expect(await client.set('a', -MAX - 1n)).toBe(MAX - 2n);
    await expect(client.decrement('a')).rejects.toMatchObject({ code: 'overflow' });
    await expect(client.increment('a', MAX + 1n)).rejects.toMatchObject({ code: 'invalid_number' });
    expect(await client.reset('a')).toBe(-MAX - 1n);
  });

  it('takes bounds, and tells what was applied', async () => {
    expect(await client.adjust('seats', 5, { ceiling: 3, saturate: true })).toEqual({
      value: 3n,
      applied: 3n,
      replayed: false,
    });
    await expect(client.increment('seats', 1, { ceiling: 3 })).rejects.toMatchObject({ code: 'above_ceiling' });
    expect(await client.adjust('seats', 5, { subtract: true, floor: 0n, saturate: true })).toMatchObject({
      value: 0n,
      applied: -3n,
    });
  });

  it('knows a key again', async () => {
    const options = { idempotencyKey: 'order 7' };
    expect(await client.adjust('keyed', 2, options)).toEqual({ value: 2n, applied: 2n, replayed: false });
    expect(await client.adjust('keyed', 2, options)).toEqual({ value: 2n, applied: 2n, replayed: true });
    await expect(client.increment('keyed', 3, options)).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  });

  it('reads, deletes and expires', async () => {
    await client.increment('b', 7);
    expect(await client.getMany(['b', 'none', 'b'])).toEqual([7n, 0n, 7n]);
    expect(await client.read(['b', 'none'])).toEqual([
      { name: 'b', value: 7n, exists: true },
      { name: 'none', value: 0n, exists: false },
    ]);
    expect(await client.ttl('b')).toEqual({ exists: true, ttlSeconds: undefined });
    expect(await client.expire('b', 1_000)).toBe(true);
    expect((await client.ttl('b')).ttlSeconds).toBeGreaterThan(900);
    expect(await client.persist('b')).toBe(true);
    expect((await client.ttl('b')).ttlSeconds).toBeUndefined();
    await client.increment('b', 1, { ttlSeconds: 50 });
    expect((await client.ttl('b')).ttlSeconds).toBeLessThanOrEqual(50);
    expect(await client.delete('b')).toBe(true);
    expect(await client.delete('b')).toBe(false);
    expect(await client.exists('b')).toBe(false);
    expect(await client.expire('b', 5)).toBe(false);
    expect(await client.ttl('b')).toEqual({ exists: false, ttlSeconds: undefined });
  });

  it('lists page by page', async () => {
    await client.batch(Array.from({ length: 25 }, (_, i) => ({ name: `page:${i}`, by: i })));
    const entries = await allOf(client.list({ match: 'page:*', pageSize: 3 }));
    expect(new Map(entries.map(({ name, value }) => [name, value]))).toEqual(
      new Map(Array.from({ length: 25 }, (_, i) => [`page:${i}`, BigInt(i)])),
    );
    expect(entries.length).toBe(25);
  });

  it('sends batches, each update with its own outcome, or all or nothing', async () => {
    const updates = [{ name: 'x' }, { name: 'stock:1', by: -1 }, { name: 'x', by: 5n, id: 'event 1' }, { name: '' }];
    const { outcomes, replayed } = await client.batch(updates);
    expect(replayed).toBe(false);
    expect(outcomes.map((outcome) => (outcome.outcome === 'done' ? outcome.value : outcome.code))).toEqual([
      1n,
      'below_floor',
      6n,
      'invalid_name',
    ]);
    const again = await client.batch([{ name: 'x', by: 5n, id: 'event 1' }]);
    expect(again.outcomes).toEqual([{ outcome: 'done', name: 'x', value: 6n, applied: 5n, replayed: true }]);
    const refusal = client.batch([{ name: 'x' }, { name: 'stock:1', by: -1 }], { atomic: true });
    await expect(refusal).rejects.toMatchObject({ name: 'RefusedError', code: 'below_floor', index: 1 });
    expect(await client.get('x')).toBe(6n);
  });

  it('tells about the server', async () => {
    expect(await client.info()).toMatchObject({ state: 'open', durability: 'always', version: expect.any(String) });
    expect((await client.snapshot()).counters).toBeGreaterThan(0);
  });

  it('is told that a server with a secret wants it', async () => {
    const secret = join(directory, 'secret');
    await writeFile(secret, 'hush\n');
    const server = await ServerProcess.start({ data: join(directory, 'locked'), flags: ['--secret-file', secret] });
    const url = `http://${addressOf(server)}`;
    await expect(new TallydClient({ url }).get('a')).rejects.toBeInstanceOf(RefusedError);
    expect(await new TallydClient({ url, secret: 'hush' }).get('a')).toBe(0n);
  });
});

/** Forwards connections to a server, and breaks some of them where the answer should come. */
async function lossyProxy(port: number, random: SeededRandom): Promise<{ url: string; lost(): number; close(): void }> {
  const sockets = new Set<Socket>();
  let lost = 0;
  const proxy = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket.on('error', () => socket.destroy()).on('close', () => other.destroy()));
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      if (!random.chance(0.3)) return near.write(bytes);
      lost += 1;
      return near.destroy();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, lost: () => lost, close };
}

describe(`when answers get lost, seed ${seed}`, () => {
  afterEach(stopServers);

  it('the client counts every update once', async () => {
    const server = await ServerProcess.start({ data: join(directory, 'lossy') });
    const proxy = await lossyProxy(server.http?.port ?? 0, new SeededRandom(seed));
    const client = new TallydClient({ url: proxy.url, timeoutMs: 50_000 });
    for (let i = 0; i < 10; i++) {
      await Promise.all([
        client.increment('a'),
        client.decrement('b', 2),
        client.batch([{ name: 'c', by: 3 }]),
        client.adjust('..', 4),
        client.importChunk(`chunk ${i}`, [{ name: 'd', by: 5 }]),
      ]);
    }
    expect(proxy.lost()).toBeGreaterThan(5);
    proxy.close();
    const values = await new TallydClient({ url: `http://${addressOf(server)}` }).getMany(['a', 'b', 'c', '..', 'd']);
    expect(values, `seed ${seed}`).toEqual([10n, -20n, 30n, 40n, 50n]);
  });

  it('and the server is killed, it counts every update once, by retries alone', async () => {
    const random = new SeededRandom(seed);
    const data = join(directory, 'killed');
    let server = await ServerProcess.start({ data });
    const http = addressOf(server);
    const client = new TallydClient({ url: `http://${http}`, timeoutMs: 50_000 });
    let isOver = false;
    const counts = [0, 0, 0, 0];
    const counting = counts.map(async (_, i) => {
      for (; !isOver; counts[i] = (counts[i] ?? 0) + 1) {
        if (i % 2 === 0) await client.increment('total', i + 1);
        else await client.batch([{ name: 'total', by: i + 1 }]);
      }
    });
    for (let round = 0; round < 6; round++) {
      await new Promise((resolve) => setTimeout(resolve, random.below(300)));
      await server.end('SIGKILL');
      server = await ServerProcess.start({ data, flags: ['--http', http] });
    }
    isOver = true;
    await Promise.all(counting);
    const expected = counts.reduce((sum, count, i) => sum + count * (i + 1), 0);
    expect(expected).toBeGreaterThan(0);
    expect(await client.get('total'), `seed ${seed}`).toBe(BigInt(expected));
  });
});
