import { expect, it } from 'vitest';
import { seeds } from '../seed.ts';
import { RegionWorld } from './region-world.ts';
import type { RegionWorldOptions } from './world.ts';

const STEPS = 300;
/** All seeds of a world are one test, because what they meet is judged together. */
const PATIENCE_MS = 300_000;

/** Then what was set last is what counts. */
const GOES_BACK = { durable: false, clocksAgree: true, faults: { rollBack: 0.02, jump: 0 } };

/** Each with so many seeds. */
const worlds: Readonly<Record<string, { readonly seeds: number; readonly options: Omit<RegionWorldOptions, 'seed'> }>> =
  {
    'over a durable store': { seeds: 8, options: {} },
    'over a store that a failover rolls back': { seeds: 8, options: { durable: false } },
    'over a durable store that people restore': { seeds: 8, options: { faults: { rollBack: 0.01 } } },
    'over a store that goes back, whose clocks agree': { seeds: 4, options: GOES_BACK },
    'over a durable store that goes back, whose clocks agree': { seeds: 4, options: { ...GOES_BACK, durable: true } },
    'that lose disks, where the store has acknowledged': {
      seeds: 8,
      options: { ack: 'store', faults: { loseDisk: 0.01 } },
    },
    'that lose disks with what only they had': { seeds: 4, options: { faults: { loseDisk: 0.01 } } },
    'that evict': { seeds: 8, options: { memoryBytes: 4_000, names: 12 } },
    'that soon let go of what is deleted': { seeds: 4, options: { keepFoldedMs: 60 } },
    'in mode interval whose processes are killed': { seeds: 4, options: { durability: 'interval' } },
    'in mode off that stop cleanly': {
      seeds: 4,
      options: { durability: 'off', faults: { kill: 0, crash: 0, copy: 0 } },
    },
  };

it.each(Object.entries(worlds))(
  'nodes %s count every acknowledged update exactly once, and meet what they are meant to meet',
  async (_, { seeds: count, options }) => {
    const counts: Record<string, number> = {};
    for (const seed of seeds(count)) {
      const world = new RegionWorld({ ...options, seed });
      await world.live(STEPS);
      await world.heal();
      for (const [what, times] of Object.entries(world.counts)) counts[what] = (counts[what] ?? 0) + times;
    }
    const met = ['adds', 'reads', 'partitions', 'pauses', 'stops'];
    for (const what of met) expect(counts[what], what).toBeGreaterThan(0);
    if (options.clocksAgree === true) expect(counts['lastCuts']).toBe(count);
  },
  PATIENCE_MS,
);
