/** Snapshots that come by themselves: while the journal grows, and at a stop, for the next start's sake. */
import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { type SimulatedHost, simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, Op } from '../counter/chunk.ts';
import { Engine, type EngineOptions } from './engine.ts';

/** About 260 bytes a counter in the journal: 40 000 are more than a stop leaves to the next start. */
const LONG = 'x'.repeat(230);
const MANY = 40_000;
const CHUNK = 10_000;

interface World {
  readonly disk: SimulatedDisk;
  readonly host: SimulatedHost;
  readonly failures: unknown[];
  readonly engine: Engine;
}

async function start(disk: SimulatedDisk, options: Partial<EngineOptions> = {}): Promise<World> {
  const host = simulatedHost(1);
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => failures.push(error);
  const engine = await Engine.open({ disk, host, durability: 'always', onFailure, ...options });
  return { disk, host, failures, engine };
}

async function run({ engine, host }: World, chunk: Chunk): Promise<void> {
  let isComplete = false;
  chunk.complete = () => {
    isComplete = true;
  };
  engine.submit(chunk);
  while (!isComplete) await host.clock.settle();
}

/** Adds 1 to so many counters. */
async function add(world: World, count: number): Promise<void> {
  for (let from = 0; from < count; from += CHUNK) {
    const chunk = new Chunk();
    for (let i = from; i < Math.min(count, from + CHUNK); i++) chunk.pushName(Op.add, `${LONG}${i}`, 1n);
    await run(world, chunk);
  }
}

async function get(world: World, i: number): Promise<bigint> {
  const chunk = new Chunk();
  chunk.pushName(Op.get, `${LONG}${i}`);
  await run(world, chunk);
  return chunk.valueAt(0);
}

async function close({ engine, host }: World): Promise<void> {
  const closed = engine.close();
  await host.clock.settle();
  await closed;
}

async function snapshots(disk: SimulatedDisk): Promise<string[]> {
  return (await disk.list()).filter((name) => name.includes('.snap'));
}

it('a stop writes a snapshot when the next start would have much to replay, and none otherwise', async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const world = await start(disk);
  await add(world, MANY);
  await close(world);
  const written = await snapshots(disk);
  expect(written.length).toBe(1);
  const again = await start(disk);
  expect(again.engine.info()).toMatchObject({ counters: MANY, journalBytes: 0 });
  expect(await get(again, MANY - 1)).toBe(1n);
  await add(again, 10);
  await close(again);
  expect(await snapshots(disk)).toEqual(written);
});

it('a stop does not fail when its snapshot does: the journal holds everything', async () => {
  const disk = new SimulatedDisk({ seed: 2 });
  const world = await start(disk);
  await add(world, MANY);
  // A part of the snapshot: behind the new segment's operations and the snapshot's first.
  disk.failAt(disk.operations + 9, 'ENOSPC');
  await close(world);
  expect(world.failures.length).toBe(1);
  expect(await snapshots(disk)).toEqual([]);
  const again = await start(disk.kill());
  expect(again.engine.info().counters).toBe(MANY);
  expect(again.engine.info().journalBytes).toBeGreaterThan(8_000_000);
});

it('a stop does not wait for ever for a snapshot on a disk that hangs', async () => {
  const disk = new SimulatedDisk({ seed: 3 });
  const world = await start(disk);
  await add(world, MANY);
  disk.failAt(disk.operations + 9, 'hang');
  let isClosed = false;
  const closed = world.engine.close().then(() => {
    isClosed = true;
  });
  await world.host.clock.advance(3_900);
  expect(isClosed).toBe(false);
  await world.host.clock.advance(200);
  await closed;
  disk.release();
  await world.host.clock.settle();
  expect(await snapshots(disk), 'what was given up is not installed later').toEqual([]);
  const again = await start(disk.kill());
  expect(again.engine.info().counters).toBe(MANY);
});

it('the next snapshot waits until half as much as the last one has been written, also behind a restart', async () => {
  const disk = new SimulatedDisk({ seed: 4 });
  const world = await start(disk);
  await add(world, MANY);
  await close(world);
  const written = await snapshots(disk);
  const again = await start(disk, { snapshotJournalBytes: 100_000 });
  await add(again, MANY / 4);
  expect(again.engine.info().journalBytes).toBeGreaterThan(2_000_000);
  expect(await snapshots(disk)).toEqual(written);
  await add(again, MANY / 2);
  await again.host.clock.settle();
  expect(await snapshots(disk)).not.toEqual(written);
  expect(again.engine.info().journalBytes).toBeLessThan(6_000_000);
});

it('snapshots come by themselves beside traffic when the journal has grown, and lose nothing', async () => {
  const disk = new SimulatedDisk({ seed: 5 });
  const world = await start(disk, { snapshotJournalBytes: 200_000, segmentBytesMax: 50_000 });
  for (let round = 0; round < 60; round++) {
    const chunk = new Chunk();
    for (let i = 0; i < 1000; i++) chunk.pushName(Op.add, `n${(round * 331 + i) % 5000}`, 1n);
    await run(world, chunk);
  }
  await close(world);
  expect((await snapshots(disk)).length).toBe(1);
  const again = await start(disk);
  expect(again.engine.info().journalBytes).toBeLessThan(1_000_000);
  const chunk = new Chunk();
  for (let i = 0; i < 5000; i++) chunk.pushName(Op.get, `n${i}`);
  await run(again, chunk);
  let sum = 0n;
  for (let i = 0; i < chunk.count; i++) sum += chunk.valueAt(i);
  expect(sum).toBe(60_000n);
});
