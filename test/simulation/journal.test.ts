// The journal on a disk that does everything a disk is allowed to. Each test goes through every operation of a
// random run; a complaint names the seed, and the run is the same for the same seed.

import { describe, expect, it } from 'vitest';
import { seeds } from '../seed.ts';
import { type Fault, SimulatedDisk } from './disk.ts';
import { JournalWorld } from './journal-world.ts';

const STEPS = 40;

function newWorld(seed: number): JournalWorld {
  const world = new JournalWorld(seed, new SimulatedDisk({ seed }));
  return world;
}

/** A run without faults. @returns how many operations it takes. */
async function undisturbed(seed: number): Promise<number> {
  const world = newWorld(seed);
  await world.open();
  await world.run(STEPS);
  expect(world.counts.snapshots, 'the run holds a snapshot').toBeGreaterThan(0);
  return world.disk.operations;
}

/** Opens the journal, with the power going again and again at some operation of the start. */
async function openAtLast(world: JournalWorld, crashes: number): Promise<void> {
  for (let i = 0; i < crashes; i++) {
    const stopped = world.disk.stopAt(1 + ((world.seed + i * 3) % 12));
    const opened = await Promise.race([world.open().then(() => true), stopped.then(() => false)]);
    world.crash();
    if (opened) break;
  }
  await world.open();
}

describe.each(seeds(3))('seed %i', (seed) => {
  it('recovers what was durable after a crash at any operation', async () => {
    const operations = await undisturbed(seed);
    const total = { recoveries: 0, lostGroups: 0, keptGroups: 0 };
    for (let operation = 1; operation <= operations; operation++) {
      const world = newWorld(seed);
      const stopped = world.disk.stopAt(operation);
      await Promise.race([world.open().then(() => world.run(STEPS)), stopped]);
      world.crash();
      await openAtLast(world, operation % 3);
      await world.run(5);
      world.crash();
      await world.open();
      for (const count of ['recoveries', 'lostGroups', 'keptGroups'] as const) total[count] += world.counts[count];
    }
    expect(total.recoveries).toBeGreaterThan(operations);
    expect(total.lostGroups, 'some crash lost something').toBeGreaterThan(0);
    expect(total.keptGroups, 'some crash kept something that was not synced').toBeGreaterThan(0);
  });

  it('keeps what a start has recovered from a killed process, also after a failed sync', async () => {
    const operations = await undisturbed(seed);
    let keptGroups = 0;
    for (let operation = 1; operation <= operations; operation++) {
      const world = newWorld(seed);
      // A failed sync leaves pages that the system calls clean: the next process reads them, and a crash loses them.
      if (operation % 2 === 0) world.disk.failAt(operation - 1, 'EIO');
      const stopped = world.disk.stopAt(operation);
      const refused = (error: unknown) => expect(String(error)).toContain('EIO');
      await Promise.race([world.open().then(() => world.run(STEPS), refused), stopped]);
      world.kill();
      await world.open();
      keptGroups += world.counts.keptGroups;
      world.crash();
      await world.open();
    }
    expect(keptGroups, 'some process was killed before its sync').toBeGreaterThan(0);
  });

  it.each<Fault>(['ENOSPC', 'EIO', 'hang'])('goes on after %s at any operation', async (fault) => {
    const operations = await undisturbed(seed);
    let failures = 0;
    for (let operation = 1; operation <= operations; operation++) {
      const world = newWorld(seed);
      world.disk.failAt(operation, fault);
      // A start may fail, and then the next one has to succeed, on what the first one has left in the cache.
      await world.open().catch(async () => {
        world.kill();
        await world.open();
      });
      await world.run(STEPS);
      world.disk.release();
      await world.run(3);
      failures += world.counts.failures + world.counts.failedSnapshots;
      world.crash();
      await world.open();
    }
    expect(failures, 'faults were noticed').toBeGreaterThan(operations / 3);
  });

  it.each<Fault>(['ENOSPC', 'EIO'])('takes back nothing that was written when it is killed after %s', async (fault) => {
    const operations = await undisturbed(seed);
    let failures = 0;
    // Killed at each step of the repair, and some of those steps fail, too.
    for (let operation = 1; operation <= operations; operation++) {
      const world = newWorld(seed);
      world.disk.failAt(operation, fault);
      if (operation % 2 === 0) world.disk.failAt(operation + 1 + ((operation >> 1) % 6), fault);
      const stopped = world.disk.stopAt(operation + 1 + (operation % 13));
      const refused = (error: unknown) => expect(String(error)).toContain(fault);
      await Promise.race([world.open().then(() => world.run(STEPS), refused), stopped]);
      world.kill();
      await world.open();
      failures += world.counts.failures;
      await world.run(3);
      world.crash();
      await world.open();
    }
    expect(failures, 'it was killed in repairs').toBeGreaterThan(operations / 3);
  });
});
