import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Chunk, type CommandOptions, Flag, Op } from '../counter/chunk.ts';
import { DONE, ERRORS, errorCode } from '../counter/errors.ts';
import { INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { Engine, type EngineOptions } from './engine.ts';

let directory: string;
let engine: Engine;
let options: Partial<EngineOptions>;

async function open(): Promise<void> {
  engine = await Engine.open({ disk: new NodeDisk(directory), host: nodeHost(), durability: 'always', ...options });
}

async function reopen(): Promise<void> {
  await engine.close();
  await open();
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-engine-'));
  options = {};
  await open();
});

afterEach(async () => {
  await engine.close();
  await rm(directory, { recursive: true });
});

function submit(chunk: Chunk): Promise<Chunk> {
  return new Promise((resolve) => {
    chunk.complete = () => resolve(chunk);
    engine.submit(chunk);
  });
}

async function run(op: Op, name: string, amount = 0n, commandOptions?: CommandOptions): Promise<Chunk> {
  const chunk = new Chunk();
  chunk.pushName(op, name, amount, commandOptions);
  return submit(chunk);
}

async function add(name: string, amount: bigint, commandOptions?: CommandOptions): Promise<bigint | string> {
  const chunk = await run(Op.add, name, amount, commandOptions);
  return chunk.code[0] === DONE ? chunk.valueAt(0) : errorCode(chunk.code[0]);
}

async function get(name: string): Promise<bigint | undefined> {
  const chunk = await run(Op.get, name);
  return chunk.hasFlag(0, Flag.existed) ? chunk.valueAt(0) : undefined;
}

const request = (key: string, fingerprint = 'aa') => ({ scope: 'request', key, fingerprint }) as const;

async function keyed(key: string, name: string, amount: bigint, fingerprint = 'aa'): Promise<Chunk> {
  const chunk = new Chunk();
  chunk.pushName(Op.add, name, amount);
  chunk.key = request(key, fingerprint);
  return submit(chunk);
}

describe('counting', () => {
  it('adds, reads, sets and deletes, over the whole range, and remembers after a restart', async () => {
    expect(await get('likes')).toBe(undefined);
    expect(await add('likes', 5n)).toBe(5n);
    expect(await add('likes', -7n)).toBe(-2n);
    expect(await add('top', INT64_MAX)).toBe(INT64_MAX);
    expect(await add('bottom', INT64_MIN)).toBe(INT64_MIN);
    expect(await add('zero', 0n)).toBe(0n);
    const set = await run(Op.set, 'likes', 100n);
    expect([set.valueAt(0), set.otherAt(0)]).toEqual([100n, -2n]);
    const deleted = await run(Op.delete, 'zero');
    expect([deleted.hasFlag(0, Flag.existed), deleted.otherAt(0)]).toEqual([true, 0n]);
    expect((await run(Op.delete, 'zero')).flags[0]).toBe(0);
    await reopen();
    expect(await get('likes')).toBe(100n);
    expect(await get('top')).toBe(INT64_MAX);
    expect(await get('bottom')).toBe(INT64_MIN);
    expect(await get('zero')).toBe(undefined);
    expect(engine.info().counters).toBe(3);
  });

  it('refuses an overflow before anything changes, and never runs out of range by use', async () => {
    await add('n', INT64_MAX);
    expect(await add('n', 1n)).toBe('overflow');
    expect(await get('n')).toBe(INT64_MAX);
    for (let i = 0; i < 5; i++) {
      expect(await add('n', -INT64_MAX)).toBe(0n);
      expect(await add('n', INT64_MAX)).toBe(INT64_MAX);
    }
    expect(await add('m', INT64_MIN)).toBe(INT64_MIN);
    expect(await add('m', -1n)).toBe('overflow');
  });

  it('refuses names that are empty, too long or not UTF-8, and takes every other', async () => {
    expect(await add('', 1n)).toBe('invalid_name');
    expect(await add('x'.repeat(256), 1n)).toBe('invalid_name');
    expect(await add('é'.repeat(128), 1n)).toBe('invalid_name');
    expect(await add('x'.repeat(255), 1n)).toBe(1n);
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80]]) {
      const chunk = new Chunk();
      chunk.names = Uint8Array.from(bytes);
      chunk.push(Op.add, 0, bytes.length, 1, 0);
      await submit(chunk);
      expect(errorCode(chunk.code[0])).toBe('invalid_name');
    }
    for (const name of ['\0', 'a b', 'ü', '\u{1f600}', '%', '\r\n', '__proto__']) expect(await add(name, 2n)).toBe(2n);
    await reopen();
    for (const name of ['\0', 'a b', 'ü', '\u{1f600}', '%', '\r\n', '__proto__']) expect(await get(name)).toBe(2n);
  });

  it('applies a chunk in order, and commands see those before them', async () => {
    const chunk = new Chunk();
    chunk.pushName(Op.get, 'a');
    chunk.pushName(Op.add, 'a', 3n);
    chunk.pushName(Op.get, 'a');
    chunk.pushName(Op.delete, 'a');
    chunk.pushName(Op.get, 'a');
    chunk.pushName(Op.add, 'a', 4n);
    await submit(chunk);
    expect([0, 1, 2, 3, 4, 5].map((i) => chunk.valueAt(i))).toEqual([0n, 3n, 3n, 0n, 0n, 4n]);
    expect([0, 2, 4].map((i) => chunk.hasFlag(i, Flag.existed))).toEqual([false, true, false]);
    await reopen();
    expect(await get('a')).toBe(4n);
  });

  it('takes chunks larger than a group, in order', async () => {
    const chunks: Promise<Chunk>[] = [];
    for (let c = 0; c < 30; c++) {
      const chunk = new Chunk();
      for (let i = 0; i < 10_000; i++) chunk.pushName(Op.add, `n${c}-${i}`, 1n);
      chunk.pushName(Op.add, 'all', 1n);
      chunks.push(submit(chunk));
    }
    const done = await Promise.all(chunks);
    expect(done.map((chunk) => chunk.valueAt(10_000))).toEqual(done.map((_, c) => BigInt(c + 1)));
    await reopen();
    expect(engine.info().counters).toBe(300_001);
    expect(await get('n29-9999')).toBe(1n);
  });

  it('needs the names of a door no longer than submit takes, also of chunks that wait for room', async () => {
    const lent = new Uint8Array(10_000 * 12);
    const chunks: Promise<Chunk>[] = [];
    for (let c = 0; c < 60; c++) {
      const chunk = new Chunk();
      chunk.names = lent;
      for (let i = 0; i < 10_000; i++) {
        const { written } = new TextEncoder().encodeInto(`n${c}-${i}`, lent.subarray(i * 12));
        chunk.push(Op.add, i * 12, written, 1, 0);
      }
      chunks.push(submit(chunk));
      lent.fill(0x78);
    }
    await Promise.all(chunks);
    expect(engine.info().counters).toBe(600_000);
    for (const name of ['n0-0', 'n15-5000', 'n59-9999']) expect(await get(name)).toBe(1n);
  });
});

describe('bounds and deadlines', () => {
  it('keeps policies and requests within their bounds', async () => {
    options = {
      policies: [
        { match: 'stock:*', floor: 0n, ceiling: 10n },
        { match: 'sat:*', ceiling: 5n, saturate: true },
      ],
    };
    await reopen();
    expect(await add('stock:1', 3n)).toBe(3n);
    expect(await add('stock:1', -4n)).toBe('below_floor');
    expect(await add('stock:1', 8n)).toBe('above_ceiling');
    expect(await add('stock:2', -1n)).toBe('below_floor');
    expect(await get('stock:2')).toBe(undefined);
    expect(await add('stock:1', -4n, { saturate: true })).toBe(0n);
    expect(await add('sat:1', 9n)).toBe(5n);
    expect(await add('free', 9n, { ceiling: 8n })).toBe('above_ceiling');
    expect(await add('free', 9n, { ceiling: 8n, saturate: true })).toBe(8n);
    expect(errorCode((await run(Op.set, 'stock:1', 11n)).code[0])).toBe('above_ceiling');
    await reopen();
    expect(await add('stock:1', -1n)).toBe('below_floor');
  });

  it('expires, persists, and forgets a deadline with its counter', async () => {
    const soon = Date.now() + 60_000;
    await add('a', 1n, { deadline: { kind: 'at', unixMs: soon } });
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(BigInt(soon));
    await reopen();
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(BigInt(soon));
    await run(Op.expire, 'a', 0n, { deadline: { kind: 'at', unixMs: soon - 1000 }, deadlineOnlyIf: 'later' });
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(BigInt(soon));
    await run(Op.expire, 'a', 0n, { deadline: { kind: 'persist' } });
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(-1n);
    await run(Op.expire, 'a', 0n, { deadline: { kind: 'at', unixMs: 1 } });
    expect(await get('a')).toBe(undefined);
    expect(await add('a', 7n)).toBe(7n);
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(-1n);
    await run(Op.set, 'a', 1n, { deadline: { kind: 'in', ms: 60_000 } });
    await run(Op.set, 'a', 2n);
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(-1n);
    await reopen();
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(-1n);
    expect(await get('a')).toBe(2n);
  });

  it('leaves nothing behind when counters expire or are deleted', async () => {
    for (let i = 0; i < 100; i++) await run(Op.add, `e${i}`, 1n, { deadline: { kind: 'in', ms: 1 } });
    for (let i = 0; i < 100; i++) await add(`d${i}`, 1n);
    for (let i = 0; i < 100; i++) await run(Op.delete, `d${i}`);
    while (engine.info().counters > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await reopen();
    expect(engine.info().counters).toBe(0);
    expect((await engine.scan({ count: 1000 })).entries).toEqual([]);
  });

  it('gives a policy ttl once, at creation', async () => {
    options = { policies: [{ match: 'rate:*', ttlMs: 60_000 }] };
    await reopen();
    await add('rate:1', 1n);
    const first = (await run(Op.deadline, 'rate:1')).valueAt(0);
    expect(first > BigInt(Date.now())).toBe(true);
    await add('rate:1', 1n);
    expect((await run(Op.deadline, 'rate:1')).valueAt(0)).toBe(first);
  });
});

describe('all or nothing', () => {
  it('applies an atomic chunk whole or not at all', async () => {
    await add('a', 5n);
    const deadline = Date.now() + 60_000;
    await run(Op.expire, 'a', 0n, { deadline: { kind: 'at', unixMs: deadline } });
    const chunk = new Chunk();
    chunk.atomic = true;
    chunk.pushName(Op.add, 'a', 1n);
    chunk.pushName(Op.add, 'new', 1n);
    chunk.pushName(Op.set, 'a', 99n);
    chunk.pushName(Op.add, 'a', -100n, { floor: 0n });
    await submit(chunk);
    expect([...chunk.code.subarray(0, 4)].map((id) => (id === DONE ? 'done' : errorCode(id)))).toEqual([
      'atomic_refused',
      'atomic_refused',
      'atomic_refused',
      'below_floor',
    ]);
    expect(await get('a')).toBe(5n);
    expect(await get('new')).toBe(undefined);
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(BigInt(deadline));
    await reopen();
    expect(await get('a')).toBe(5n);
    expect(await get('new')).toBe(undefined);
    expect(engine.info().counters).toBe(1);
    expect((await run(Op.deadline, 'a')).valueAt(0)).toBe(BigInt(deadline));
  });
});

describe('idempotency', () => {
  it('answers a retry with the original answer, also after a restart and beside other updates', async () => {
    const first = await keyed('k1', 'a', 5n);
    await add('a', 100n);
    await reopen();
    const again = await keyed('k1', 'a', 5n);
    expect([again.replayed, again.valueAt(0), again.appliedAtMs]).toEqual([true, 5n, first.appliedAtMs]);
    expect(await get('a')).toBe(105n);
    expect((await keyed('k1', 'a', 5n, 'bb')).refusal).toBe(ERRORS.idempotency_mismatch.id);
  });

  it('counts two requests with one key that are under way at once only once', async () => {
    const chunks = await Promise.all(Array.from({ length: 20 }, () => keyed('k', 'a', 1n)));
    expect(chunks.map((chunk) => chunk.valueAt(0))).toEqual(chunks.map(() => 1n));
    expect(await get('a')).toBe(1n);
  });

  it('repeats a refusal by the counter, too', async () => {
    await add('a', INT64_MAX);
    expect(errorCode((await keyed('k', 'a', 1n)).code[0])).toBe('overflow');
    await run(Op.set, 'a', 0n);
    const again = await keyed('k', 'a', 1n);
    expect([again.replayed, errorCode(again.code[0])]).toEqual([true, 'overflow']);
    expect(await get('a')).toBe(0n);
  });

  it('knows the ids of single commands, within a chunk and across', async () => {
    const chunk = new Chunk();
    for (const id of ['x', 'y', 'x']) chunk.pushName(Op.add, 'a', 1n, { id: request(id) });
    await submit(chunk);
    expect([0, 1, 2].map((i) => chunk.hasFlag(i, Flag.replayed))).toEqual([false, false, true]);
    await reopen();
    expect((await run(Op.add, 'a', 1n, { id: request('y') })).hasFlag(0, Flag.replayed)).toBe(true);
    expect(await get('a')).toBe(2n);
  });

  it('keeps no record of an atomic batch that was refused for its ids', async () => {
    const chunk = new Chunk();
    chunk.atomic = true;
    chunk.pushName(Op.add, 'a', 1n, { id: request('x') });
    chunk.pushName(Op.add, 'b', -1n, { floor: 0n });
    await submit(chunk);
    expect((await run(Op.add, 'a', 1n, { id: request('x') })).valueAt(0)).toBe(1n);
  });

  it('imports a chunk once, for good', async () => {
    const importChunk = async (): Promise<Chunk> => {
      const chunk = new Chunk();
      for (let i = 0; i < 100; i++) chunk.pushName(Op.add, `n${i}`, 1n);
      chunk.key = { scope: 'import', key: 'ab'.repeat(32), fingerprint: '' };
      return submit(chunk);
    };
    expect((await importChunk()).replayed).toBe(false);
    await engine.snapshot();
    await reopen();
    expect((await importChunk()).replayed).toBe(true);
    expect(await get('n99')).toBe(1n);
  });
});

describe('listing and snapshots', () => {
  it('lists every counter exactly once while others come and go', async () => {
    for (let i = 0; i < 500; i++) await add(`keep:${i}`, BigInt(i));
    const seen = new Map<string, bigint>();
    let cursor: string | undefined;
    for (let page = 0; page === 0 || cursor !== undefined; page++) {
      const result = await engine.scan({ cursor, match: 'keep:*', count: 37 });
      for (const entry of result.entries) {
        expect(seen.has(entry.name)).toBe(false);
        seen.set(entry.name, entry.value);
      }
      await add(`noise:${page}`, 1n);
      await run(Op.delete, `noise:${page - 1}`);
      cursor = result.cursor;
    }
    expect(seen).toEqual(new Map(Array.from({ length: 500 }, (_, i) => [`keep:${i}`, BigInt(i)])));
  });

  it('tells a name as it is, with a byte order mark in front', async () => {
    await add('\ufeffa', 1n);
    expect((await engine.scan({ count: 10 })).entries.map((entry) => entry.name)).toEqual(['\ufeffa']);
  });

  it('refuses a cursor that it did not give', async () => {
    await add('a', 1n);
    for (const cursor of ['1', '65536', '99999999', 'x', '', '-1', '1.5', '1e5', '9007199254740993']) {
      await expect(engine.scan({ cursor, count: 10 })).rejects.toMatchObject({ code: 'invalid_cursor' });
    }
  });

  it('restarts from a snapshot, with what came after it', async () => {
    for (let i = 0; i < 50; i++) await add(`n${i}`, 1n, i % 2 ? { deadline: { kind: 'in', ms: 60_000 } } : undefined);
    await keyed('k', 'n1', 1n);
    const summary = await engine.snapshot();
    expect(summary.counters).toBe(50);
    await add('n1', 5n);
    await run(Op.delete, 'n2');
    await reopen();
    expect(await get('n1')).toBe(7n);
    expect(await get('n2')).toBe(undefined);
    expect((await run(Op.deadline, 'n3')).valueAt(0) > 0n).toBe(true);
    expect((await keyed('k', 'n1', 1n)).replayed).toBe(true);
  });
});

it('repeats a refusal for a bound to a retry, though another command of the request was refused for itself', async () => {
  const attempt = (): Promise<Chunk> => {
    const chunk = new Chunk();
    chunk.key = request('k');
    chunk.pushName(Op.add, 'a', -1n, { floor: 0n });
    chunk.pushName(Op.add, '', 1n);
    return submit(chunk);
  };
  const codes = [ERRORS.below_floor.id, ERRORS.invalid_name.id];
  expect([...(await attempt()).code.subarray(0, 2)]).toEqual(codes);
  await add('a', 5n);
  const again = await attempt();
  expect(again.replayed).toBe(true);
  expect([...again.code.subarray(0, 2)]).toEqual(codes);
  expect(await get('a')).toBe(5n);
});

describe.each(['interval', 'off'] as const)('durability %s', (durability) => {
  it('answers, flushes and survives a clean stop', async () => {
    options = { durability };
    await reopen();
    for (let i = 0; i < 200; i++) expect(await add('a', 1n)).toBe(BigInt(i + 1));
    await engine.flush();
    expect(engine.info().durableSequence).toBe(engine.info().sequence);
    await run(Op.delete, 'b');
    await add('b', 3n);
    await reopen();
    expect(await get('a')).toBe(200n);
    expect(await get('b')).toBe(3n);
  });
});
