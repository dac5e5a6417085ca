import { describe, expect, it } from 'vitest';
import type { Disk, DiskFile } from '../../src/host/host.ts';
import { seeds } from '../seed.ts';
import { EngineWorld, type EngineWorldOptions } from './engine-world.ts';
import { seedsUntilComplaint } from './oracle.ts';

const SEEDS = 60;
/** A broken promise must be found within so many seeds. */
const MUTATION_SEEDS = 80;
/** All seeds of a kind are one test, because what they meet is judged together. */
const PATIENCE_MS = 300_000;

async function run(options: EngineWorldOptions): Promise<EngineWorld> {
  const world = new EngineWorld(options);
  for (let life = 0; life < 6; life++) await world.live(150);
  await world.settle();
  return world;
}

/** Runs one seed after the other. @returns how often they met what. */
async function runAll(
  all: readonly number[],
  options: Omit<EngineWorldOptions, 'seed'> = {},
): Promise<Record<string, number>> {
  const total: Record<string, number> = {};
  for (const seed of all) {
    const { counts } = await run({ ...options, seed });
    for (const [what, times] of Object.entries(counts)) total[what] = (total[what] ?? 0) + times;
  }
  return total;
}

/** How many seeds it takes until the oracle complains. */
function seedsUntilFound(options: Omit<EngineWorldOptions, 'seed'>): Promise<number> {
  return seedsUntilComplaint(seeds(MUTATION_SEEDS), (seed) => run({ ...options, seed }));
}

/**
 * How often a lying sync lies. One that always did would lose headers as well, which checksums notice before any
 * oracle.
 */
const LIES = 3;

/** A disk on which one operation now and then does nothing and says that it did. */
function lying(disk: Disk, operation: 'sync' | 'syncDirectory'): Disk {
  const maybe = (own: typeof operation, honest: () => Promise<void>): (() => Promise<void>) => {
    let calls = 0;
    return () => (own === operation && ++calls % LIES === 0 ? Promise.resolve() : honest());
  };
  const file = (honest: DiskFile): DiskFile => ({
    size: () => honest.size(),
    read: (target, position) => honest.read(target, position),
    write: (bytes, position) => honest.write(bytes, position),
    sync: maybe('sync', () => honest.sync()),
    truncate: (size) => honest.truncate(size),
    hasName: (name) => honest.hasName(name),
    close: () => honest.close(),
  });
  return {
    list: () => disk.list(),
    open: async (name, mode) => file(await disk.open(name, mode)),
    rename: (from, to) => disk.rename(from, to),
    unlink: (name) => disk.unlink(name),
    syncDirectory: maybe('syncDirectory', () => disk.syncDirectory()),
  };
}

it(
  'on a disk that crashes, tears, fills up, fails and hangs every acknowledged update is counted exactly once',
  async () => {
    const counts = await runAll(seeds(SEEDS));
    expect(counts.crashes).toBeGreaterThan(SEEDS);
    expect(counts.kills).toBeGreaterThan(SEEDS / 2);
    expect(counts.faults).toBeGreaterThan(SEEDS);
    expect(counts.repairs).toBeGreaterThan(SEEDS / 2);
    expect(counts.snapshots).toBeGreaterThan(SEEDS);
    expect(counts.calls).toBeGreaterThan(SEEDS * 500);
    expect(counts.refusedStops).toBeGreaterThan(0);
  },
  PATIENCE_MS,
);

describe.each(['interval', 'off'] as const)('an engine in mode %s, which syncs beside its writes', (durability) => {
  it('loses nothing that it has acknowledged when only processes are killed', async () => {
    expect((await runAll(seeds(8), { durability, onlyKills: true })).kills).toBeGreaterThan(8);
  });

  it('takes back nothing that the system had when the disk fails', async () => {
    const counts = await runAll(seeds(SEEDS / 3), { durability });
    for (const what of ['kills', 'crashes', 'faults', 'repairs', 'stops'])
      expect(counts[what], what).toBeGreaterThan(0);
  });
});

describe('the oracle notices', () => {
  it('a process in mode off that is killed', async () => {
    expect(await seedsUntilFound({ durability: 'off', promised: 'interval', onlyKills: true })).toBeLessThanOrEqual(
      MUTATION_SEEDS,
    );
  });

  it('a file sync that now and then does nothing', async () => {
    expect(await seedsUntilFound({ between: (disk) => lying(disk, 'sync') })).toBeLessThanOrEqual(MUTATION_SEEDS);
  });

  it('a directory sync that now and then does nothing', async () => {
    expect(await seedsUntilFound({ between: (disk) => lying(disk, 'syncDirectory') })).toBeLessThanOrEqual(
      MUTATION_SEEDS,
    );
  });

  it('replies that leave before the sync', async () => {
    expect(await seedsUntilFound({ durability: 'interval', promised: 'always' })).toBeLessThanOrEqual(MUTATION_SEEDS);
  });

  it('reads that show what is not durable', async () => {
    const policies = [{ match: '*', reads: 'dirty' }] as const;
    expect(await seedsUntilFound({ policies })).toBeLessThanOrEqual(MUTATION_SEEDS);
  });
});
