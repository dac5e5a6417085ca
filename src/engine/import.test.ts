import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Chunk, type CommandOptions, Flag, Op } from '../counter/chunk.ts';
import { DONE, errorCode } from '../counter/errors.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { Engine, type EngineOptions } from './engine.ts';

let directory: string;
let engine: Engine;

async function open(options: Partial<EngineOptions> = {}): Promise<void> {
  engine = await Engine.open({ disk: new NodeDisk(directory), host: nodeHost(), durability: 'always', ...options });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-import-'));
});

afterEach(async () => {
  await engine.close();
  await rm(directory, { recursive: true });
});

function submit(fill: (chunk: Chunk) => void): Promise<Chunk> {
  return new Promise((resolve) => {
    const chunk = new Chunk();
    fill(chunk);
    chunk.complete = () => resolve(chunk);
    engine.submit(chunk);
  });
}

const IMPORT = { scope: 'import', key: 'cd'.repeat(32), fingerprint: '' } as const;

function importNames(names: readonly string[], options?: CommandOptions): Promise<Chunk> {
  return submit((chunk) => {
    chunk.key = IMPORT;
    for (const name of names) chunk.pushName(Op.add, name, 1n, options);
  });
}

async function exists(name: string): Promise<boolean> {
  return (await submit((chunk) => chunk.pushName(Op.get, name))).hasFlag(0, Flag.existed);
}

describe('an import chunk', () => {
  it('that cannot be taken whole right now is refused whole, and can come again', async () => {
    await open({ countersMax: 2 });
    const refused = await importNames(['a', 'b', 'c']);
    expect(errorCode(refused.refusal)).toBe('too_many_counters');
    expect([await exists('a'), await exists('b')]).toEqual([false, false]);
    await engine.close();
    await open();
    const taken = await importNames(['a', 'b', 'c']);
    expect([taken.refusal, taken.replayed]).toEqual([DONE, false]);
    expect((await importNames(['a', 'b', 'c'])).replayed).toBe(true);
    expect((await submit((chunk) => chunk.pushName(Op.get, 'c'))).valueAt(0)).toBe(1n);
  });

  it('keeps no ids when it is refused because the store of keys is full', async () => {
    await open({ idempotency: { bytesMax: 600 } });
    const withIds = (chunk: Chunk): void => {
      chunk.key = IMPORT;
      for (let i = 0; i < 5; i++) {
        chunk.pushName(Op.add, 'a', 1n, { id: { scope: 'request', key: `id-${i}`, fingerprint: 'aa' } });
      }
    };
    expect(errorCode((await submit(withIds)).refusal)).toBe('idempotency_full');
    expect([engine.info().idempotencyRecords, await exists('a')]).toEqual([0, false]);
    await engine.close();
    await open();
    expect((await submit(withIds)).valueAt(4)).toBe(5n);
  });

  it('with an id that cannot be judged is refused whole, and is taken without ids', async () => {
    await open();
    const expired = '01890000-0000-7000-8000-000000000000';
    const withId = (id: string) => (chunk: Chunk) => {
      chunk.key = IMPORT;
      chunk.pushName(Op.add, 'a', 1n);
      chunk.pushName(Op.add, 'a', 1n, { id: { scope: 'request', key: id, fingerprint: 'aa' } });
    };
    expect(errorCode((await submit(withId(expired))).refusal)).toBe('idempotency_expired');
    expect(errorCode((await submit(withId(expired.replace('01890000', 'f1890000')))).refusal)).toBe(
      'idempotency_from_future',
    );
    expect(await exists('a')).toBe(false);
    await importNames(['a', 'a']);
    expect((await submit((chunk) => chunk.pushName(Op.get, 'a'))).valueAt(0)).toBe(2n);
  });

  it('is known after a restart and a snapshot, and other content under its id is refused', async () => {
    await open();
    const chunkOf = (by: bigint, fingerprint: string, key = IMPORT.key): Promise<Chunk> =>
      submit((chunk) => {
        chunk.key = { scope: 'import', key, fingerprint };
        chunk.pushName(Op.add, 'a', by);
      });
    await chunkOf(5n, '11'.repeat(16));
    for (const restart of [undefined, open, open]) {
      if (restart !== undefined) {
        await engine.snapshot();
        await engine.close();
        await restart();
      }
      expect(await chunkOf(5n, '11'.repeat(16))).toMatchObject({ refusal: DONE, replayed: true });
      expect(errorCode((await chunkOf(6n, '22'.repeat(16))).refusal)).toBe('idempotency_mismatch');
      await chunkOf(1n, '33'.repeat(16), `after ${engine.info().sequence}`);
      expect((await submit((chunk) => chunk.pushName(Op.get, 'a'))).valueAt(0)).toBeLessThan(9n);
    }
    expect(engine.info().idempotencyBytes).toBe(0);
  });

  it('is refused by code when no more can be remembered, and what is there goes on counting', async () => {
    await open({ memoryBytesMax: 300_000, durability: 'off' });
    let refused: Chunk | undefined;
    for (let i = 0; refused === undefined; i++) {
      const chunk = await submit((into) => {
        into.key = { scope: 'import', key: `${i}`, fingerprint: '' };
        for (let n = 0; n < 100; n++) into.pushName(Op.add, 'a', 1n);
      });
      if (chunk.refusal !== DONE) refused = chunk;
    }
    expect(errorCode(refused.refusal)).toBe('too_many_imports');
    expect((await submit((chunk) => chunk.pushName(Op.add, 'a', 1n))).code[0]).toBe(DONE);
    expect(errorCode((await submit((chunk) => chunk.pushName(Op.add, 'b', 1n))).code[0])).toBe('too_many_counters');
    await engine.close();
    await open();
  });

  it('has nothing to do with the keys of requests, whatever its id is', async () => {
    await open();
    await submit((chunk) => {
      chunk.key = { ...IMPORT, key: '>' };
      chunk.pushName(Op.add, 'a', 1n);
    });
    const keyed = await submit((chunk) => {
      chunk.key = { scope: 'request', key: 'k', fingerprint: 'aa' };
      chunk.pushName(Op.add, 'a', 1n);
    });
    const first = await submit((chunk) => {
      chunk.key = { ...IMPORT, places: [IMPORT.key] };
      chunk.pushName(Op.add, 'a', 1n);
    });
    expect([keyed.refusal, first.refusal, first.valueAt(0)]).toEqual([DONE, DONE, 3n]);
  });

  it('of which nothing was counted is not remembered', async () => {
    await open();
    const refused = await importNames(['a'], { ceiling: 0n });
    expect(errorCode(refused.code[0])).toBe('above_ceiling');
    expect((await importNames(['a'])).replayed).toBe(false);
  });
});

describe('a policy ttl', () => {
  it('begins anew with a set, which in Redis would make the counter immortal', async () => {
    await open({ policies: [{ match: 'rate:*', ttlMs: 60_000 }] });
    await submit((chunk) => chunk.pushName(Op.add, 'rate:1', 1n, { deadline: { kind: 'in', ms: 5 } }));
    await submit((chunk) => chunk.pushName(Op.set, 'rate:1', 7n));
    const deadline = await submit((chunk) => chunk.pushName(Op.deadline, 'rate:1'));
    expect(deadline.valueAt(0) > BigInt(Date.now() + 30_000)).toBe(true);
  });
});
