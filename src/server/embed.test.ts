import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { SeededRandom } from '../std/random.ts';
import { type Count, type OpenOptions, open, type Tally } from './embed.ts';
import { checkNode } from './start-error.ts';

let root: string;
const opened: Tally[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-embed-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((tally) => tally.close()));
  await rm(root, { recursive: true, force: true });
});

async function start(options: Partial<OpenOptions> = {}): Promise<Tally> {
  const tally = await open({ dir: join(root, 'data'), ...options });
  opened.push(tally);
  return tally;
}

async function restart(tally: Tally, options: Partial<OpenOptions> = {}): Promise<Tally> {
  await tally.close();
  return start(options);
}

async function names(tally: Tally, match?: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of tally.list(match === undefined ? {} : { match })) found.push(name);
  return found.sort();
}

/** The code with which a call is refused; a call that is not refused fails the test. */
function codeOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  throw new Error('was not refused');
}

describe('add and flush', () => {
  it('count at once, and all of it is there after a restart', async () => {
    const tally = await start();
    for (let i = 0; i < 1_000; i++) tally.add('views');
    tally.add('views', -1);
    tally.add('views', 10n);
    await tally.flush();
    expect(await tally.get('views')).toBe(1_009n);
    const again = await restart(tally);
    expect(await again.get('views')).toBe(1_009n);
  });

  it('refuse at once and change nothing', async () => {
    const tally = await start({ policies: [{ match: 'stock:*', floor: 0n }] });
    tally.add('full', INT64_MAX);
    expect(codeOf(() => tally.add('full'))).toBe('overflow');
    expect(codeOf(() => tally.add('stock:a', -1))).toBe('below_floor');
    expect(codeOf(() => tally.add(''))).toBe('invalid_name');
    expect(codeOf(() => tally.add('x'.repeat(256)))).toBe('invalid_name');
    // A lone surrogate would be encoded as U+FFFD, as another counter's name.
    expect(codeOf(() => tally.add('\ud800'))).toBe('invalid_name');
    await tally.flush();
    expect(await tally.getMany(['full', 'stock:a', '\ufffd'])).toEqual([INT64_MAX, 0n, 0n]);
  });

  it.each<[string, unknown]>([
    ['a fraction', 1.5],
    ['an unsafe number', 2 ** 53],
    ['not a number', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['more than 64 bits', INT64_MAX + 1n],
    ['less than 64 bits', INT64_MIN - 1n],
    ['a string', '1'],
    ['null', null],
  ])('refuse %s as amount', async (_what, amount) => {
    const tally = await start();
    expect(codeOf(() => tally.add('a', amount as Count))).toBe('invalid_number');
    await expect(tally.increment('a', amount as Count)).rejects.toMatchObject({ code: 'invalid_number' });
    await expect(tally.set('a', amount as Count)).rejects.toMatchObject({ code: 'invalid_number' });
    expect(await tally.get('a')).toBe(0n);
  });

  it('say overloaded when the disk does not keep up, and go on after a flush', async () => {
    const tally = await start();
    let overloaded = 0;
    const total = 400_000;
    for (let i = 0; i < total; i++) {
      try {
        tally.add(`counter:${i}`);
      } catch (error) {
        expect(error).toMatchObject({ code: 'overloaded' });
        overloaded++;
        await tally.flush();
        tally.add(`counter:${i}`);
      }
    }
    await tally.flush();
    expect(overloaded).toBeGreaterThan(0);
    expect(tally.info().counters).toBe(total);
  });

  it('count exactly, names that come often and names that come once, whatever is done in between', async () => {
    const random = new SeededRandom(seed);
    const model = new Map<string, bigint>();
    const tally = await start();
    const amounts = [1, -3, 2 ** 31 - 1, -(2 ** 31), 2 ** 40, 5n, -(2n ** 50n)];
    for (let step = 0; step < 60_000; step++) {
      const name = random.chance(0.7) ? `hot:${random.below(10)}` : `cold:${random.below(3_000)}`;
      if (random.chance(0.002)) {
        await tally.delete(name);
        model.delete(name);
      } else {
        const by = random.pick<Count>(amounts);
        tally.add(name, by);
        model.set(name, (model.get(name) ?? 0n) + BigInt(by));
      }
      if (random.chance(0.002)) expect(await tally.get(name), `seed ${seed}`).toBe(model.get(name) ?? 0n);
    }
    const again = await restart(tally);
    expect(await names(again), `seed ${seed}`).toEqual([...model.keys()].sort());
    const known = [...model];
    const values = await again.getMany(known.map(([name]) => name));
    expect(values, `seed ${seed}`).toEqual(known.map(([, value]) => value));
  });

  it('refuse invalid names at once, also where no add can be refused for a bound', async () => {
    const tally = await start();
    for (const name of ['', 'x'.repeat(256), 'ä'.repeat(128), '\ud800']) {
      expect(
        codeOf(() => tally.add(name)),
        name,
      ).toBe('invalid_name');
    }
    await tally.flush();
    expect(await names(tally)).toEqual([]);
  });

  it('tell by the next flush an overflow that showed when add had returned', async () => {
    const tally = await start();
    await tally.set('full', INT64_MAX);
    tally.add('full');
    tally.add('other');
    await expect(tally.flush()).rejects.toMatchObject({ code: 'overflow' });
    await tally.flush();
    expect(await tally.getMany(['full', 'other'])).toEqual([INT64_MAX, 1n]);
  });

  it('tell by close what no flush has told', async () => {
    const tally = await start();
    opened.pop();
    await tally.set('full', INT64_MAX);
    tally.add('full');
    await expect(tally.close()).rejects.toMatchObject({ code: 'overflow' });
  });

  it('flush resolves when there is nothing to wait for', async () => {
    await (await start()).flush();
  });
});

describe('the other calls', () => {
  it('increment tells the new count, set and delete what was before', async () => {
    const tally = await start();
    expect(await tally.increment('a')).toBe(1n);
    expect(await tally.increment('a', -3n)).toBe(-2n);
    expect(await tally.set('a', INT64_MIN)).toBe(-2n);
    expect(await tally.get('a')).toBe(INT64_MIN);
    await expect(tally.increment('a', -1)).rejects.toMatchObject({ code: 'overflow', name: 'CountingError' });
    expect(await tally.delete('a')).toBe(true);
    expect(await tally.delete('a')).toBe(false);
    expect(await tally.get('a')).toBe(0n);
  });

  it('take bounds, saturate and lifetimes', async () => {
    const tally = await start();
    await expect(tally.increment('a', 5, { ceiling: 4 })).rejects.toMatchObject({ code: 'above_ceiling' });
    expect(await tally.increment('a', 5, { ceiling: 4n, saturate: true })).toBe(4n);
    expect(await tally.deadline('a')).toBeUndefined();
    expect(await tally.expire('a', 60_000)).toBe(true);
    expect(await tally.deadline('a')).toBeGreaterThan(Date.now());
    expect(await tally.persist('a')).toBe(true);
    expect(await tally.deadline('a')).toBeUndefined();
    expect(await tally.expire('none', 60_000)).toBe(false);
    for (const ttlSeconds of [0, -1, 0.0001, Number.NaN, 2 ** 53]) {
      await expect(tally.expire('a', ttlSeconds)).rejects.toMatchObject({ code: 'invalid_deadline' });
      await expect(tally.increment('a', 0, { ttlSeconds })).rejects.toMatchObject({ code: 'invalid_deadline' });
    }
    await tally.increment('b', 1, { ttlSeconds: 60 });
    expect(await tally.deadline('b')).toBeGreaterThan(Date.now());
  });

  it('tell the count and the time left when a bound refuses them, and keep a window with ttlIfNone', async () => {
    const tally = await start();
    await tally.increment('a', 7, { ttlSeconds: 60, ttlIfNone: true });
    const deadlineMs = await tally.deadline('a');
    await tally.increment('a', 1, { ttlSeconds: 600, ttlIfNone: true });
    expect(await tally.deadline('a')).toBe(deadlineMs);
    const refused = await tally.increment('a', 1, { ceiling: 8 }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'above_ceiling', value: 8n });
    const { ttlSeconds } = refused as { ttlSeconds: number };
    expect(ttlSeconds > 0 && ttlSeconds <= 60).toBe(true);
    await expect(tally.increment('a', 1, { ttlIfNone: true })).rejects.toMatchObject({ code: 'invalid_deadline' });
  });

  it('count nothing twice under one idempotency key, over a restart too', async () => {
    const tally = await start();
    expect(await tally.increment('a', 2, { idempotencyKey: 'k' })).toBe(2n);
    expect(await tally.increment('a', 2n, { idempotencyKey: 'k' })).toBe(2n);
    const again = await restart(tally);
    expect(await again.increment('a', 2, { idempotencyKey: 'k' })).toBe(2n);
    await expect(again.increment('a', 3, { idempotencyKey: 'k' })).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    await expect(again.increment('b', 2, { idempotencyKey: 'k' })).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    await expect(again.increment('a', 2, { idempotencyKey: '' })).rejects.toMatchObject({
      code: 'invalid_idempotency_key',
    });
    expect(await again.get('a')).toBe(2n);
  });

  it('batch gives each update its own outcome, or all or none', async () => {
    const tally = await start();
    const updates = [{ name: 'a' }, { name: 'b', by: -1, floor: 0 }, { name: 'a', by: 4n }];
    expect(await tally.batch(updates)).toEqual([
      { name: 'a', value: 1n },
      { name: 'b', error: 'below_floor', value: 0n },
      { name: 'a', value: 5n },
    ]);
    const outcomes = await tally.batch(updates, { atomic: true });
    expect(outcomes.map(({ error }) => error)).toEqual(['atomic_refused', 'below_floor', 'atomic_refused']);
    expect(await tally.get('a')).toBe(5n);
    expect(await tally.batch([])).toEqual([]);
    await tally.batch([{ name: 'a' }], { idempotencyKey: 'k' });
    await tally.batch([{ name: 'a' }], { idempotencyKey: 'k' });
    expect(await tally.get('a')).toBe(6n);
    const tooMany = Array.from({ length: 10_001 }, () => ({ name: 'a' }));
    await expect(tally.batch(tooMany)).rejects.toMatchObject({ code: 'atomic_too_large' });
  });

  it('list names every counter once, by pattern too', async () => {
    const tally = await start();
    for (let i = 0; i < 2_500; i++) tally.add(`views:${i}`);
    tally.add('likes:1');
    await tally.flush();
    const all = await names(tally);
    expect(all).toHaveLength(2_501);
    expect(new Set(all).size).toBe(2_501);
    expect(await names(tally, 'likes:*')).toEqual(['likes:1']);
  });

  it('a handle counts like its name', async () => {
    const tally = await start();
    const views = tally.counter('views');
    views.add();
    views.add(2);
    expect(await views.increment(3)).toBe(6n);
    expect(await views.get()).toBe(6n);
    expect(() => tally.counter('\udfff')).toThrow(/1 to 255 bytes/);
  });

  it('a handle follows its counter when that is deleted and its place in memory given to another', async () => {
    const tally = await start();
    const first = tally.counter('first');
    first.add();
    first.add();
    await tally.delete('first');
    await tally.increment('other');
    await tally.increment('third');
    first.add(5);
    first.add(5);
    expect(await tally.getMany(['first', 'other', 'third'])).toEqual([10n, 1n, 1n]);
  });

  it('snapshot tells what it wrote', async () => {
    const tally = await start();
    for (let i = 0; i < 100; i++) tally.add(`c${i}`);
    expect(await tally.snapshot()).toMatchObject({ counters: 100 });
    const again = await restart(tally);
    expect(again.info().counters).toBe(100);
  });
});

describe('open and close', () => {
  it.each([
    ['no directory', {}, /dir is missing/],
    ['a misspelt option', { dir: 'x', durabilty: 'off' }, /unknown option 'durabilty'/],
    ['a mode that does not exist', { dir: 'x', durability: 'Always' }, /durability: one of always, interval, off/],
    ['a limit of nothing', { dir: 'x', countersMax: 0 }, /countersMax/],
    ['a bound that is text', { dir: 'x', policies: [{ match: 'a', floor: '0' }] }, /policies\[0\]\.floor/],
    ['a policy for no name', { dir: 'x', policies: [{ floor: 0n }] }, /match is missing/],
    ['bounds that exclude all', { dir: 'x', policies: [{ match: 'a', floor: 2, ceiling: 1n }] }, /above the ceiling/],
    ['a misspelt policy', { dir: 'x', policies: [{ match: 'a', flor: 0n }] }, /unknown option 'flor'/],
    ['time that runs backwards', { dir: 'x', idempotency: { retentionMs: -1 } }, /idempotency\.retentionMs/],
  ])('%s is refused before anything is touched', async (_what, options, expected) => {
    await expect(open(options as unknown as OpenOptions)).rejects.toThrow(expected);
    await expect(open(options as unknown as OpenOptions)).rejects.toBeInstanceOf(TypeError);
  });

  it('a bound of a policy may be a safe integer, and is exact then', async () => {
    const tally = await start({ policies: [{ match: 'stock:*', floor: 0, ceiling: 5, saturate: true }] });
    expect(await tally.increment('stock:1', 9)).toBe(5n);
    expect(await tally.increment('stock:1', -9)).toBe(0n);
  });

  it('a directory that cannot be made is refused, however the system says so', async () => {
    await expect(open({ dir: '/proc/tallyd/data' })).rejects.toThrow(/data directory \/proc\/tallyd\/data: /);
    const nested = join(root, 'a', 'b');
    await (await open({ dir: nested })).close();
    expect((await stat(join(root, 'a'))).mode & 0o777).toBe(0o700);
  });

  it('a second open of a directory is refused until the first is closed', async () => {
    const tally = await start();
    await expect(start()).rejects.toThrow(/already open in this process/);
    await restart(tally);
  });

  it('several directories live side by side', async () => {
    const [a, b] = [await start({ dir: join(root, 'a') }), await start({ dir: join(root, 'b') })];
    await Promise.all([a.increment('x', 1), b.increment('x', 2)]);
    expect([await a.get('x'), await b.get('x')]).toEqual([1n, 2n]);
  });

  it('close makes everything durable and refuses what comes later', async () => {
    const tally = await start();
    tally.add('a', 7);
    const [closed] = [tally.close(), tally.close()];
    expect(codeOf(() => tally.add('a'))).toBe('shutting_down');
    const refusal = { code: 'shutting_down', message: expect.stringMatching(/^this tally/) };
    for (const later of [tally.get('a'), tally.list().next(), tally.snapshot()])
      await expect(later).rejects.toMatchObject(refusal);
    await closed;
    expect(await (await start()).get('a')).toBe(7n);
  });

  it('await using closes', async () => {
    {
      await using tally = await open({ dir: join(root, 'data') });
      tally.add('a');
    }
    expect(await (await start()).get('a')).toBe(1n);
  });

  it.each(['always', 'interval', 'off'] as const)(
    'durability %s: a clean stop keeps everything',
    async (durability) => {
      const tally = await start({ durability });
      for (let i = 0; i < 100; i++) await tally.increment('a');
      const again = await restart(tally, { durability });
      expect(await again.get('a')).toBe(100n);
    },
  );

  it('the limit of counters refuses new names only', async () => {
    const tally = await start({ countersMax: 2 });
    tally.add('a');
    tally.add('b');
    expect(codeOf(() => tally.add('c'))).toBe('too_many_counters');
    tally.add('a');
    expect(await tally.get('a')).toBe(2n);
  });
});

it('an old Node is refused in a sentence', () => {
  for (const version of ['20.20.2', '22.11.0', '18.0.0']) {
    expect(() => checkNode(version)).toThrow(`node ${version} is too old: install node 22.12 or newer`);
  }
  for (const version of ['22.12.0', '26.10.0']) checkNode(version);
});

it('knows the calls of the SDK, and refuses options that there are not', async () => {
  const tally = await open({ dir: join(root, 'words'), policies: [{ match: 'short:*', ttlSeconds: 0.5 }] });
  opened.push(tally);
  expect(await tally.increment('a', 5)).toBe(5n);
  expect(await tally.decrement('a', 7n)).toBe(-2n);
  await expect(tally.decrement('a', INT64_MIN)).rejects.toMatchObject({ code: 'invalid_number' });
  expect([await tally.exists('a'), await tally.exists('b')]).toEqual([true, false]);
  expect([await tally.expire('a', 60), await tally.persist('a'), await tally.persist('b')]).toEqual([
    true,
    true,
    false,
  ]);
  expect(await tally.deadline('a')).toBe(undefined);
  expect([await tally.reset('a'), await tally.get('a')]).toEqual([-2n, 0n]);
  const wrong = (options: object): never => options as never;
  await expect(tally.increment('a', 1, wrong({ ttlMs: 5 }))).rejects.toThrow(/unknown option 'ttlMs'.*ttlSeconds/);
  await expect(tally.set('a', 1, wrong({ floor: 0 }))).rejects.toThrow(/unknown option 'floor'/);
  await expect(tally.batch([wrong({ name: 'a', amount: 2 })])).rejects.toThrow(/unknown option 'amount'/);
  expect(await tally.get('a')).toBe(0n);
});
