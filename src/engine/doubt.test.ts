/** What a failing disk leaves in doubt is stated again beside reads, however much it is. */
import { afterEach, expect, it, vi } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { SimulatedClock, simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, Op } from '../counter/chunk.ts';
import { ERRORS } from '../counter/errors.ts';
import { GroupBuffer } from '../journal/group.ts';
import { Engine } from './engine.ts';
import { RefSet } from './ref-set.ts';

const COUNTERS = 60_000;
const DELETED = 5_000;
const PER_CHUNK = 5_000;
/**
 * Entries that are encoded in a turn: a portion, beside the deletions; and read: those of 1 MiB, with names as short as
 * these.
 */
const ENCODED_MAX = 16_384;
const READ_MAX = 32_000;

/** Tells what was done in each turn. */
class TurnClock extends SimulatedClock {
  ended: () => void = () => undefined;

  override soon(callback: () => void): void {
    super.soon(() => {
      this.ended();
      callback();
    });
  }
}

afterEach(() => {
  vi.restoreAllMocks();
});

it('is encoded once, and read from the durable stream, a part of it in a turn', async () => {
  const clock = new TurnClock();
  const host = { ...simulatedHost(1), clock };
  let disk = new SimulatedDisk({ seed: 1, clock, latencyMs: 1 });
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    work.then(settle, settle);
    for (let i = 0; i < 5_000 && !isSettled; i++) await clock.advance(5);
    return work;
  };
  const engine = await inTime(Engine.open({ disk, host, durability: 'off' }));
  const run = async (on: Engine, op: Op, from: number, to: number): Promise<Chunk> => {
    const chunk = new Chunk(to - from);
    for (let i = from; i < to; i++) chunk.pushName(op, `counter:${i}`, 7n);
    await inTime(
      new Promise<void>((resolve) => {
        chunk.complete = resolve;
        on.submit(chunk);
      }),
    );
    return chunk;
  };
  let [opened, openedMax, openedInAll, read, readMax, readInAll] = [0, 0, 0, 0, 0, 0];
  engine.readDurable({
    group: () => undefined,
    values: ({ count }) => {
      read += count;
    },
    deadline: () => undefined,
    delete: () => {
      read++;
    },
  });
  for (let from = 0; from < COUNTERS; from += PER_CHUNK) await run(engine, Op.add, from, from + PER_CHUNK);
  await run(engine, Op.delete, 0, DELETED);
  const open = GroupBuffer.prototype.open;
  vi.spyOn(GroupBuffer.prototype, 'open').mockImplementation(function (this: GroupBuffer, type, length) {
    opened++;
    return open.call(this, type, length);
  });
  for (let i = 1; i <= 8; i++) disk.failAt(disk.operations + i, 'EIO');
  clock.ended = () => {
    openedMax = Math.max(openedMax, opened);
    readMax = Math.max(readMax, read);
    openedInAll += opened;
    readInAll += read;
    [opened, read] = [0, 0];
  };
  await expect(inTime(engine.flush())).rejects.toMatchObject({ code: 'outcome_unknown' });
  const untold = await run(engine, Op.get, COUNTERS - 1, COUNTERS);
  expect(untold.code[0]).toBe(ERRORS.unavailable.id);
  for (let i = 0; i < 5_000 && engine.state === 'failing'; i++) await clock.advance(5);
  expect(engine.state).toBe('open');
  // The deletions once more, in the group that failed: however often it was tried, nothing was encoded again.
  expect([openedInAll, readInAll]).toEqual([DELETED + COUNTERS, COUNTERS]);
  expect(openedMax).toBeLessThan(ENCODED_MAX);
  expect(readMax).toBeLessThan(READ_MAX);
  expect((await run(engine, Op.get, COUNTERS - 1, COUNTERS)).valueAt(0)).toBe(7n);
  expect(engine.info().counters).toBe(COUNTERS - DELETED);
  disk = disk.crash();
  const again = await inTime(Engine.open({ disk, host, durability: 'off' }));
  expect(again.info().counters).toBe(COUNTERS - DELETED);
  const kept = await run(again, Op.get, DELETED, COUNTERS / 6);
  for (let i = 0; i < kept.count; i++) if (kept.valueAt(i) !== 7n) expect(kept.valueAt(i)).toBe(7n);
});

it('a set of records has what was added, in order', () => {
  const set = new RefSet();
  const refs = [1, 31, 32, 63, 64, 65_535, 65_536, 1_000_000, 1_000_031, 2_147_483_647 >>> 4];
  for (const ref of [...refs].reverse()) set.add(ref);
  set.add(32);
  expect([...set.pages()].flat()).toEqual(refs);
  expect(refs.every((ref) => set.has(ref))).toBe(true);
  expect([0, 2, 33, 65_537, 999_999, 1_000_032, 2 ** 30].some((ref) => set.has(ref))).toBe(false);
  set.clear();
  expect([set.has(1), [...set.pages()]]).toEqual([false, []]);
});
