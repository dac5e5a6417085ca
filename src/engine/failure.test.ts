/** What a failing disk does to callers of the engine, and what is no failure of the disk. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { type SimulatedHost, simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, Op } from '../counter/chunk.ts';
import { type CountingError, ERRORS } from '../counter/errors.ts';
import type { Durability } from '../counter/service.ts';
import { parseFileName, SECTOR_BYTES, segmentName } from '../journal/format.ts';
import { Engine } from './engine.ts';

const FOR_GOOD = 2000;
const MODES: readonly Durability[] = ['always', 'interval', 'off'];

let host: SimulatedHost;
let disk: SimulatedDisk;

beforeEach(() => {
  host = simulatedHost(1);
  disk = new SimulatedDisk({ seed: 1, clock: host.clock, latencyMs: 1 });
});

async function inTime<T>(work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  work.then(settle, settle);
  for (let i = 0; i < 5000 && !isSettled; i++) await host.clock.advance(5);
  expect(isSettled).toBe(true);
  return work;
}

const open = (durability: Durability): Promise<Engine> => inTime(Engine.open({ disk, host, durability }));

function add(engine: Engine, complete: () => void = () => undefined): void {
  const chunk = new Chunk();
  chunk.pushName(Op.add, 'a', 1n);
  chunk.complete = complete;
  engine.submit(chunk);
}

async function count(engine: Engine): Promise<bigint> {
  const chunk = new Chunk();
  chunk.pushName(Op.get, 'a');
  await inTime(
    new Promise<void>((resolve) => {
      chunk.complete = resolve;
      engine.submit(chunk);
    }),
  );
  return chunk.valueAt(0);
}

function failFrom(operation: number, operations: number): void {
  for (let i = 0; i < operations; i++) disk.failAt(operation + i, 'ENOSPC');
}

describe.each(MODES)('a stop in mode %s', (durability) => {
  it('is refused when the disk has not taken everything until its end', async () => {
    const engine = await open(durability);
    add(engine);
    failFrom(disk.operations + 1, FOR_GOOD);
    await expect(inTime(engine.close())).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(engine.state).toBe('closed');
  });

  it('waits for a repair that succeeds in time', async () => {
    const engine = await open(durability);
    add(engine);
    failFrom(disk.operations + 1, 4);
    await inTime(engine.close());
    disk = disk.crash();
    expect(await count(await open(durability))).toBe(1n);
  });
});

it('a snapshot that the disk does not take is refused by code', async () => {
  const engine = await open('always');
  failFrom(disk.operations + 1, 1);
  await expect(inTime(engine.snapshot())).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('ENOSPC'),
  });
});

it.each(MODES)(
  'a snapshot fails by the code that says that nothing was changed, wherever the disk fails (mode %s)',
  async (mode) => {
    const outcomes = new Set<string>();
    for (let operation = 1; operation <= 16; operation++) {
      host = simulatedHost(operation);
      disk = new SimulatedDisk({ seed: operation, clock: host.clock, latencyMs: 1 });
      const engine = await open(mode);
      add(engine);
      failFrom(disk.operations + operation, operation % 2 === 0 ? 1 : 20);
      const snapshot = engine.snapshot();
      // The journal is written while the snapshot is: both meet the fault.
      for (let i = 0; i < 4; i++) add(engine);
      const outcome = inTime(snapshot).then(
        () => 'written',
        ({ code }: CountingError) => code,
      );
      outcomes.add(await outcome);
    }
    expect(outcomes).toEqual(new Set(['written', 'unavailable']));
  },
);

it.each(['always', 'interval'] as const)(
  'a fault of the program is none of the journal: it ends the process (mode %s)',
  async (durability) => {
    const engine = await open(durability);
    add(engine, () => {
      throw new RangeError('Array buffer allocation failed');
    });
    const running = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) await host.clock.advance(5);
    };
    // Thrown where nobody catches it: here by the clock, in a process by the event loop.
    await expect(running()).rejects.toThrow('Array buffer allocation failed');
    expect(engine.state).toBe('open');
  },
);

it.each(MODES)(
  'a fault among the commands of a chunk ends the process, with nothing of them durable (mode %s)',
  async (mode) => {
    const engine = await open(mode);
    const chunk = new Chunk();
    for (const name of ['a', 'b']) chunk.pushName(Op.add, name, 1n, { ceiling: 5n });
    chunk.complete = () => undefined;
    Object.defineProperty(chunk.options, 1, {
      get: () => {
        throw new RangeError('Array buffer allocation failed');
      },
    });
    // As a door does that catches everything.
    expect(() => engine.submit(chunk)).toThrow('Array buffer allocation failed');
    await expect(host.clock.advance(20)).rejects.toThrow('Array buffer allocation failed');
    await host.clock.advance(12_000);
    disk = disk.kill();
    expect(await count(await open(mode))).toBe(0n);
  },
);

it.each(MODES)(
  'a directory that is taken away refuses updates within a second, until it is back (mode %s)',
  async (mode) => {
    const engine = await open(mode);
    add(engine);
    await inTime(engine.flush());
    await inTime(disk.rename('journal.reach', 'elsewhere'));
    await host.clock.advance(1100);
    expect([engine.state, engine.info().failure]).toEqual(['failing', expect.stringContaining('removed, moved')]);
    const chunk = new Chunk();
    chunk.pushName(Op.add, 'a', 1n);
    chunk.complete = () => undefined;
    engine.submit(chunk);
    expect(chunk.code[0]).toBe(ERRORS.unavailable.id);
    await inTime(disk.rename('elsewhere', 'journal.reach'));
    while (engine.state === 'failing') await host.clock.advance(50);
    add(engine);
    await inTime(engine.close());
    disk = disk.crash();
    expect(await count(await open(mode))).toBe(2n);
  },
);

/** What is done to a file under the running process, given the names of its segments. */
const losses: Readonly<Record<string, (of: SimulatedDisk, first: string, last: string) => Promise<void>>> = {
  'the current segment is removed': (of, _first, last) => of.unlink(last),
  'the current segment is emptied': async (of, _first, last) => (await of.open(last, 'write')).truncate(0),
  'the current segment loses all frames': async (of, _first, last) =>
    (await of.open(last, 'write')).truncate(SECTOR_BYTES),
  'the current segment loses its last frame': async (of, _first, last) =>
    (await of.open(last, 'write')).truncate(of.content(last).length - SECTOR_BYTES),
  'a copy takes the place of the current segment': async (of, _first, last) => {
    const content = of.content(last);
    await of.unlink(last);
    await (await of.open(last, 'create')).write(content, 0);
  },
  'an earlier segment is removed': (of, first) => of.unlink(first),
  'the snapshot is removed': async (of) => {
    for (const name of await of.list()) if (name.startsWith('snapshot-')) await of.unlink(name);
  },
};

it.each(MODES.flatMap((mode) => Object.keys(losses).map((loss) => [loss, mode] as const)))(
  'files that a start needs are written anew within seconds when %s, though traffic goes on (mode %s)',
  async (loss, durability) => {
    const reports: string[] = [];
    const onFailure = (error: unknown): void => void reports.push(String(error));
    const onRepaired = (): void => void reports.push('repaired');
    const segmentBytesMax = 6 * SECTOR_BYTES;
    const engine = await inTime(Engine.open({ disk, host, durability, segmentBytesMax, onFailure, onRepaired }));
    add(engine);
    await inTime(engine.snapshot());
    for (let i = 0; i < 7; i++) {
      add(engine);
      await inTime(engine.flush());
    }
    await host.clock.advance(1_500);
    const segments = (await disk.list()).filter((name) => parseFileName(name)?.kind === 'segment').sort();
    expect(segments.length).toBeGreaterThan(1);
    await inTime(losses[loss]?.(disk, segments[0] ?? '', segments.at(-1) ?? '') ?? Promise.reject(new Error(loss)));
    add(engine);
    // Where that begins a new segment, the loss is noticed at once, and the update is unknown and stated again.
    await Promise.allSettled([inTime(engine.flush())]);
    await host.clock.advance(3_000);
    expect(reports).toEqual([
      expect.stringContaining('under the running process; everything is written anew'),
      'repaired',
    ]);
    add(engine);
    await inTime(engine.flush());
    disk = disk.crash();
    expect(await count(await open(durability))).toBe(10n);
  },
);

it('nothing is counted while files that are lost cannot be written anew', async () => {
  const engine = await open('always');
  add(engine);
  await inTime(engine.flush());
  await inTime(disk.unlink(segmentName(1)));
  failFrom(disk.operations + 1, FOR_GOOD);
  await host.clock.advance(3_000);
  expect([engine.state, engine.info().failure]).toEqual(['failing', expect.stringContaining('ENOSPC')]);
  const chunk = new Chunk();
  chunk.pushName(Op.add, 'a', 1n);
  chunk.complete = () => undefined;
  engine.submit(chunk);
  expect(chunk.code[0]).toBe(ERRORS.unavailable.id);
  await expect(inTime(engine.close())).rejects.toMatchObject({ code: 'outcome_unknown' });
});

it('a flush is answered when a sync fails that was asked for while nothing else was to be written', async () => {
  const engine = await open('off');
  add(engine);
  await host.clock.advance(200);
  // It has been written, and the sync that fails is one of the rotation.
  failFrom(disk.operations + 1, 1);
  await expect(inTime(engine.snapshot())).rejects.toMatchObject({ code: 'unavailable' });
  await expect(inTime(engine.flush())).rejects.toMatchObject({ code: 'outcome_unknown' });
  await inTime(engine.close());
  expect(engine.state).toBe('closed');
});
