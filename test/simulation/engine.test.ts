import { describe, expect, it } from 'vitest';
import type { Disk, DiskFile } from '../../src/host/host.ts';
import { EngineWorld, type EngineWorldOptions } from './engine-world.ts';

const SEEDS = 60;
/** Whoever breaks a promise must be found within so many seeds. */
const MUTATION_SEEDS = 40;

async function run(options: EngineWorldOptions): Promise<EngineWorld> {
  const world = new EngineWorld(options);
  for (let life = 0; life < 6; life++) await world.live(150);
  await world.settle();
  return world;
}

/** How many seeds it takes until the oracle complains. */
async function seedsUntilFound(options: Omit<EngineWorldOptions, 'seed'>): Promise<number> {
  for (let seed = 1; seed <= MUTATION_SEEDS; seed++) {
    try {
      await run({ ...options, seed });
    } catch {
      return seed;
    }
  }
  return Number.POSITIVE_INFINITY;
}

/** A disk on which one operation of a file does nothing and says that it did. */
function lying(disk: Disk, operation: 'sync' | 'syncDirectory'): Disk {
  const file = (honest: DiskFile): DiskFile => ({
    size: () => honest.size(),
    read: (target, position) => honest.read(target, position),
    write: (bytes, position) => honest.write(bytes, position),
    sync: () => (operation === 'sync' ? Promise.resolve() : honest.sync()),
    truncate: (size) => honest.truncate(size),
    close: () => honest.close(),
  });
  return {
    list: () => disk.list(),
    open: async (name, mode) => file(await disk.open(name, mode)),
    rename: (from, to) => disk.rename(from, to),
    unlink: (name) => disk.unlink(name),
    syncDirectory: () => (operation === 'syncDirectory' ? Promise.resolve() : disk.syncDirectory()),
  };
}

describe('the engine on a disk that crashes, tears, fills up, fails and hangs', () => {
  const counts: EngineWorld['counts'] = {
    crashes: 0,
    kills: 0,
    faults: 0,
    repairs: 0,
    snapshots: 0,
    calls: 0,
    stops: 0,
    refusedStops: 0,
  };

  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    'counts every acknowledged update exactly once, seed %i',
    async (seed) => {
      const world = await run({ seed });
      for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] += world.counts[key];
    },
  );

  it('met what it is meant to meet', () => {
    expect(counts.crashes).toBeGreaterThan(SEEDS);
    expect(counts.kills).toBeGreaterThan(SEEDS / 2);
    expect(counts.faults).toBeGreaterThan(SEEDS);
    expect(counts.repairs).toBeGreaterThan(SEEDS / 2);
    expect(counts.snapshots).toBeGreaterThan(SEEDS);
    expect(counts.calls).toBeGreaterThan(SEEDS * 500);
  });
});

describe.each(['interval', 'off'] as const)('an engine in mode %s, which syncs beside its writes', (durability) => {
  const seeds = Array.from({ length: SEEDS / 3 }, (_, i) => i + 1);
  const counts = { kills: 0, crashes: 0, faults: 0, repairs: 0, stops: 0, refusedStops: 0 };

  it.each(seeds.slice(0, 8))(
    'loses nothing that it has acknowledged when only processes are killed, seed %i',
    async (seed) => {
      expect((await run({ seed, durability, onlyKills: true })).counts.kills).toBeGreaterThan(0);
    },
  );

  it.each(seeds)('takes back nothing that the system had when the disk fails, seed %i', async (seed) => {
    const world = await run({ seed, durability });
    for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] += world.counts[key];
  });

  it('met what it is meant to meet', () => {
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0);
  });
});

describe('the oracle notices', () => {
  it('a process in mode off that is killed', async () => {
    expect(await seedsUntilFound({ durability: 'off', promised: 'interval', onlyKills: true })).toBeLessThanOrEqual(
      MUTATION_SEEDS,
    );
  });

  it('a file sync that does nothing', async () => {
    expect(await seedsUntilFound({ between: (disk) => lying(disk, 'sync') })).toBeLessThanOrEqual(MUTATION_SEEDS);
  });

  it('a directory sync that does nothing', async () => {
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
