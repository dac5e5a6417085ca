/** Idempotency keys where timing decides: the disk answers when the test lets it. */
import { beforeEach, expect, it } from 'vitest';
import { Chunk, Op } from '../../src/counter/chunk.ts';
import { DONE, ERRORS } from '../../src/counter/errors.ts';
import { Engine } from '../../src/engine/engine.ts';
import { SimulatedDisk } from './disk.ts';
import { type SimulatedHost, simulatedHost } from './host.ts';

let host: SimulatedHost;
let disk: SimulatedDisk;
let engine: Engine;
let failures: number;

async function inTime<T>(work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  work.then(settle, settle);
  while (!isSettled) await host.clock.advance(5);
  return work;
}

async function open(): Promise<void> {
  const onFailure = (): void => {
    failures++;
  };
  engine = await inTime(Engine.open({ disk, host, durability: 'always', onFailure }));
}

beforeEach(async () => {
  host = simulatedHost(1);
  disk = new SimulatedDisk({ seed: 1, clock: host.clock, latencyMs: 1 });
  failures = 0;
  await open();
});

function submit(op: Op, name: string, key?: string, fingerprint = 'aa'): Promise<Chunk> {
  const chunk = new Chunk();
  chunk.pushName(op, name, 1n);
  if (key !== undefined) chunk.key = { scope: 'request', key, fingerprint };
  return new Promise((resolve) => {
    chunk.complete = () => resolve(chunk);
    engine.submit(chunk);
  });
}

function timedKey(): string {
  const time = host.clock.nowMs().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000001`;
}

it('refuses a key for another request only when the first one is durable', async () => {
  const first = submit(Op.add, 'a', 'k', 'aa');
  let isRefused = false;
  const second = submit(Op.add, 'a', 'k', 'bb').then((chunk) => {
    isRefused = true;
    expect([chunk.refusal, engine.info().durableSequence]).toEqual([ERRORS.idempotency_mismatch.id, 1n]);
  });
  await host.clock.settle();
  expect(isRefused).toBe(false);
  await inTime(Promise.all([first, second]));
});

it('counts a key once when the clock was ahead and has been set back, also over a crash', async () => {
  host.clock.jump(2 * 3_600_000);
  await inTime(submit(Op.add, 'a', timedKey()));
  host.clock.jump(-2 * 3_600_000);
  await inTime(submit(Op.add, 'a', 'pay'));
  await inTime(submit(Op.add, 'a', 'other'));
  expect((await inTime(submit(Op.add, 'a', 'pay'))).replayed).toBe(true);
  disk = disk.crash();
  await open();
  await inTime(submit(Op.add, 'a', 'another'));
  expect((await inTime(submit(Op.add, 'a', 'pay'))).replayed).toBe(true);
  expect((await inTime(submit(Op.get, 'a'))).valueAt(0)).toBe(4n);
});

it('lets no read with a key into the journal that is being replaced', async () => {
  await inTime(submit(Op.add, 'a'));
  await inTime(submit(Op.add, 'b'));
  for (let i = 1; i < 8; i++) disk.failAt(disk.operations + i, 'EIO');
  await inTime(submit(Op.add, 'a'));
  expect(engine.state).toBe('failing');
  const reads = Array.from({ length: 12_000 }, (_, i) => submit(Op.get, 'b', `${'k'.repeat(200)}${i}`));
  for (const read of await inTime(Promise.all(reads))) expect([read.refusal, read.code[0]]).toEqual([DONE, DONE]);
  while (engine.state === 'failing') await host.clock.advance(5);
  // The sync, and the attempts at a new segment: nothing more.
  expect(failures).toBeLessThanOrEqual(7);
  await inTime(submit(Op.add, 'a'));
  expect((await inTime(submit(Op.get, 'a'))).valueAt(0)).toBe(3n);
});
