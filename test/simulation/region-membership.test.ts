/** Replicas come and go: what that leaves behind, and what becomes of directories that have counted alone. */
import { describe, expect, it } from 'vitest';
import { Chunk, Op } from '../../src/counter/chunk.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Identity } from '../../src/exchange/identity.ts';
import { SimulatedDisk } from './disk.ts';
import { SimulatedProcess } from './process.ts';
import { FAULTS } from './region-faults.ts';
import type { RegionNode } from './region-node.ts';
import { RegionWorld } from './region-world.ts';
import type { Directory, FaultRates } from './world.ts';

const RESTARTS = 100;
const QUIET = Object.fromEntries(Object.keys(FAULTS).map((fault) => [fault, 0])) as unknown as FaultRates;

function quietWorld(nodes: number, seed = 1): RegionWorld {
  return new RegionWorld({ seed, nodes, faults: QUIET });
}

async function open(world: RegionWorld, directory: Directory): Promise<RegionNode> {
  world.open(directory);
  await world.until('a node is open', () => directory.running?.node !== undefined);
  return directory.running?.node as RegionNode;
}

/** What the store holds of these counters beside their values. */
function shape(world: RegionWorld): object {
  const states = world.store.read(world.names);
  const slots = states.map((state) => [...state.slots.keys(), ...state.cut.folded.keys()].sort());
  return { slots, leases: world.store.leases().map(({ replica }) => replica) };
}

/** A directory on which one process has counted without a store. */
async function countedAlone(world: RegionWorld, seed: number, amount: bigint): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ seed });
  const host = new SimulatedProcess(world.host.clock, seed);
  await world.inTime('an identity', Identity.open(disk, host.random));
  const engine = await world.inTime('an engine', Engine.open({ disk, host, durability: 'always' }));
  const chunk = new Chunk();
  for (const name of world.names) chunk.pushName(Op.add, name, amount);
  const completed = new Promise<void>((resolve) => {
    chunk.complete = resolve;
  });
  engine.submit(chunk);
  await world.inTime('an add', completed);
  await world.inTime('a stop', engine.close());
  return disk;
}

/** Every node reads the same of every counter. */
async function expectValues(world: RegionWorld, value: bigint): Promise<void> {
  await world.converge();
  for (const node of world.nodes) for (const name of world.names) expect(await world.read(node, name)).toBe(value);
}

describe('membership', () => {
  it('is after a hundred clean restarts what it was', async () => {
    const world = quietWorld(3);
    const add = async (node: RegionNode): Promise<void> => {
      for (const name of world.names)
        expect(await world.inTime('an add', node.add(name, 1n))).toMatchObject({ kind: 'done' });
    };
    for (const directory of world.directories) await add(await open(world, directory));
    await world.converge();
    const before = shape(world);
    for (let i = 0; i < RESTARTS; i++) {
      const directory = world.directories[i % 3] as Directory;
      await world.inTime('a stop', world.stop(directory));
      await add(await open(world, directory));
    }
    await expectValues(world, BigInt(3 + RESTARTS));
    expect(shape(world)).toEqual(before);
  });

  it('grows by one folded entry per crash and counter that was touched', async () => {
    const world = quietWorld(2);
    const [first, second] = world.names as [string, string];
    const directory = world.directories[0] as Directory;
    for (let crash = 1; crash <= 4; crash++) {
      const node = await open(world, directory);
      await world.inTime('an add', node.add(first, 1n));
      if (crash === 1) await world.inTime('an add', node.add(second, 1n));
      await world.inTime('an add', node.add(first, 1n));
      world.end(directory, 'crash');
      await world.converge();
      world.end(directory, 'crash');
      const [one, other] = world.store.read([first, second]);
      expect([one?.cut.folded.size, other?.cut.folded.size]).toEqual([crash, 1]);
      expect([one?.slots.size, other?.slots.size]).toEqual([0, 0]);
    }
  });
});

describe('a directory that has counted alone', () => {
  it('brings its counts once, also beside another one with the same names', async () => {
    const world = quietWorld(1);
    const disks = [await countedAlone(world, 7, 30n), await countedAlone(world, 8, 12n)];
    const copy = (disks[0] as SimulatedDisk).copy();
    for (const disk of disks) world.addDirectory(disk);
    await expectValues(world, 42n);
    // A copy would count everything again.
    world.open(world.addDirectory(copy));
    await expect(world.advance(5_000)).rejects.toThrow('is a copy of one that is attached to the store already');
  });

  it('brings them once, whichever operation of the disk its first starts break off at', async () => {
    const template = await countedAlone(quietWorld(0), 9, 5n);
    for (let operation = 1; ; operation++) {
      const world = quietWorld(1, operation);
      const directory = world.addDirectory(template.copy());
      let isStopped = false;
      void directory.disk.stopAt(operation).then(() => {
        isStopped = true;
      });
      world.open(directory);
      await world.until('the start breaks off, or is done', () => isStopped || directory.running?.node !== undefined);
      const isOver = !isStopped;
      world.end(directory, 'crash');
      await expectValues(world, 5n);
      if (isOver) break;
    }
  });

  it('is taken up again wherever a later start breaks off', async () => {
    for (let operation = 1; ; operation++) {
      const world = quietWorld(1, operation);
      const directory = world.addDirectory(new SimulatedDisk({ seed: operation }));
      const node = await open(world, directory);
      for (const name of world.names) await world.inTime('an add', node.add(name, 3n));
      if (operation % 2 === 0) await world.inTime('a stop', world.stop(directory));
      else world.end(directory, 'crash');
      let isStopped = false;
      void directory.disk.stopAt(operation).then(() => {
        isStopped = true;
      });
      world.open(directory);
      await world.until('the start breaks off, or is done', () => isStopped || directory.running?.node !== undefined);
      const isOver = !isStopped;
      world.end(directory, 'crash');
      await expectValues(world, 3n);
      if (isOver) break;
    }
  });
});
