/** A large chunk is applied in parts, and nobody can tell but by the time that others wait. */
import { beforeEach, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { SimulatedClock, type SimulatedHost, simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, type IdempotencyKey, Op } from '../counter/chunk.ts';
import { DONE, ERRORS } from '../counter/errors.ts';
import { BATCH_ENTRIES_MAX, CHUNK_COMMANDS_MAX } from '../counter/limits.ts';
import { Engine } from './engine.ts';

/** Of these a turn takes two parts at most: the second begins while half of the turn is left. */
const KEYED_PER_TURN_MAX = 4_096;

let disk: SimulatedDisk;
let engine: Engine;
/** Commands that were applied in each turn. */
let applied: number[];

class CountingClock extends SimulatedClock {
  override soon(callback: () => void): void {
    super.soon(() => {
      const before = engine?.info().commands ?? 0;
      callback();
      applied.push((engine?.info().commands ?? 0) - before);
    });
  }
}

let host: SimulatedHost;

beforeEach(async () => {
  applied = [];
  host = { ...simulatedHost(1), clock: new CountingClock() };
  disk = new SimulatedDisk({ seed: 1 });
  engine = await settled(Engine.open({ disk, host, durability: 'always' }));
});

async function settled<T>(work: Promise<T>): Promise<T> {
  let isSettled = false;
  void work.finally(() => {
    isSettled = true;
  });
  for (let i = 0; i < 1_000 && !isSettled; i++) await host.clock.advance(5);
  expect(isSettled).toBe(true);
  return work;
}

const idOf = (i: number): IdempotencyKey => ({ scope: 'request', key: `id:${i}`, fingerprint: 'ab' });

function chunkOf(count: number, nameOf: (i: number) => string, withIds = false): Chunk {
  const chunk = new Chunk(count);
  for (let i = 0; i < count; i++) chunk.pushName(Op.add, nameOf(i), 1n, withIds ? { id: idOf(i) } : undefined);
  return chunk;
}

function submit(chunk: Chunk): Promise<Chunk> {
  return new Promise((resolve) => {
    chunk.complete = () => resolve(chunk);
    engine.submit(chunk);
  });
}

it('no turn takes all of a large batch of new ids', async () => {
  const before = engine.info().commands;
  const work = submit(chunkOf(BATCH_ENTRIES_MAX, (i) => `c:${i}`, true));
  applied.push(engine.info().commands - before);
  const chunk = await settled(work);
  expect([...chunk.code.subarray(0, chunk.count)].every((code) => code === DONE)).toBe(true);
  expect(applied.reduce((sum, count) => sum + count, 0)).toBe(BATCH_ENTRIES_MAX);
  expect(Math.max(...applied)).toBeLessThanOrEqual(KEYED_PER_TURN_MAX);
});

it('one that is all or nothing is applied at once', async () => {
  const chunk = chunkOf(BATCH_ENTRIES_MAX, (i) => `c:${i}`, true);
  chunk.atomic = true;
  const work = submit(chunk);
  expect(engine.info().commands).toBe(BATCH_ENTRIES_MAX);
  await settled(work);
});

it('nothing comes between the parts of one', async () => {
  const [large, small] = [chunkOf(CHUNK_COMMANDS_MAX, () => 'a', true), chunkOf(1, () => 'a')];
  for (let i = 0; i < large.count; i++) large.options[i] = { id: idOf(i) };
  const works = [submit(large), submit(small)];
  expect(engine.info().commands).toBeLessThan(CHUNK_COMMANDS_MAX);
  await settled(Promise.all(works));
  for (let i = 0; i < large.count; i++) if (large.valueAt(i) !== BigInt(i + 1)) expect(large.valueAt(i)).toBe(i + 1);
  expect(small.valueAt(0)).toBe(BigInt(CHUNK_COMMANDS_MAX + 1));
  expect(small.sequence).toBeGreaterThanOrEqual(large.sequence);
});

it('one whose journal fails between two parts ends unknown, and what is left of it is not applied', async () => {
  const work = submit(chunkOf(BATCH_ENTRIES_MAX, (i) => `c:${i}`, true));
  for (let i = 1; i <= 200; i++) disk.failAt(disk.operations + i, 'EIO');
  const chunk = await settled(work);
  expect(chunk.refusal).toBe(ERRORS.outcome_unknown.id);
  expect(engine.info().commands).toBeLessThan(BATCH_ENTRIES_MAX);
  const next = await settled(submit(chunkOf(1, () => 'c:0')));
  expect([next.refusal, next.code[0]]).toEqual([DONE, ERRORS.unavailable.id]);
});
