/**
 * A process that is taken for dead while it lives: cut off from the store, or standing still, for longer than its
 * lease, while an heir on a copy of its directory folds what it has counted; and then it comes back with more.
 */
import { expect, it } from 'vitest';
import { seeds } from '../seed.ts';
import { LEASE_MS } from './region-node.ts';
import { RegionWorld } from './region-world.ts';
import type { Directory, RegionWorldOptions } from './world.ts';

const FAULTS = { another: 0, partition: 0, pause: 0, stop: 0, kill: 0, crash: 0, copy: 0, rollBack: 0 };

async function zombies(options: RegionWorldOptions): Promise<RegionWorld> {
  const world = new RegionWorld({ faults: FAULTS, ...options });
  await world.live(80);
  for (let heirs = 0; heirs < 2; heirs++) {
    const original = world.directories[heirs === 0 ? 0 : world.directories.length - 1] as Directory;
    const { running } = original;
    if (running?.node === undefined) continue;
    const isPaused = world.random.chance(0.3);
    // Some of what it has counted has not left it yet.
    running.link.partition = 'both';
    await world.live(world.random.below(10));
    world.addDirectory(original.disk.copy(), original.floor.copy());
    if (isPaused) running.process.pause();
    await world.live(Math.ceil((LEASE_MS * 3) / 8));
    running.process.resume();
    running.link.partition = 'none';
    // With updates under way when it finds out.
    await world.live(80);
  }
  await world.heal();
  return world;
}

const worlds: Readonly<Record<string, Omit<RegionWorldOptions, 'seed'>>> = {
  'over a durable store': {},
  'over one that rolls back': { durable: false, faults: { ...FAULTS, rollBack: 0.01 } },
  'in mode interval': { durability: 'interval' },
  'with evictions': { memoryBytes: 4_000, names: 12 },
  'that crash meanwhile': { faults: { ...FAULTS, crash: 0.005, kill: 0.005 } },
};

it.each(Object.entries(worlds).flatMap(([name, options]) => seeds(3).map((seed) => ({ name, seed, options }))))(
  'zombies $name add only what no heir had seen, seed $seed',
  async ({ seed, options }) => {
    const world = await zombies({ ...options, seed });
    if (options.faults === undefined) expect(world.counts.begunAnew).toBeGreaterThan(0);
  },
);
