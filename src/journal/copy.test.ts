/**
 * Copies of a journal that is being written: each is a journal that holds everything that was durable when it was
 * begun.
 */
import { expect, it } from 'vitest';
import { seeds } from '../../test/seed.ts';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { Recorder } from '../../test/simulation/journal-model.ts';
import { commit, durableAlready, EMPTY, group, open } from '../../test/simulation/journal-steps.ts';
import type { Disk } from '../host/host.ts';
import { SeededRandom } from '../std/random.ts';
import { HeldJournal } from './copy.ts';
import type { Journal } from './journal.ts';
import { REACH_FILE } from './reach.ts';
import { verify } from './verify.ts';

const { clock } = simulatedHost(1);

/** A disk that lets others work before each of its operations. */
function disturbed(disk: Disk, disturb: () => Promise<void>): Disk {
  return {
    list: () => disturb().then(() => disk.list()),
    open: async (name, mode) => {
      await disturb();
      const file = await disk.open(name, mode);
      return {
        ...file,
        size: () => file.size(),
        read: (...at) => disturb().then(() => file.read(...at)),
        close: () => file.close(),
      };
    },
    rename: (from, to) => disk.rename(from, to),
    unlink: (name) => disk.unlink(name),
    syncDirectory: () => disk.syncDirectory(),
  };
}

async function copy(from: Disk): Promise<{ disk: SimulatedDisk; sequence: bigint }> {
  const disk = new SimulatedDisk({ seed: 1 });
  const held = await HeldJournal.open(from);
  const { sequence } = await held.copyTo(disk, clock);
  await disk.syncDirectory();
  await held.close();
  return { disk: disk.crash(), sequence };
}

it.each(seeds(30))('holds everything that was durable before, whatever goes on meanwhile, seed %i', async (seed) => {
  const random = new SeededRandom(seed);
  const disk = new SimulatedDisk({ seed });
  const journal: Journal = await open(disk, { segmentBytesMax: 4096, allocateBytes: (seed % 3) * 2048 });
  const step = async (): Promise<void> => {
    const { sequence } = journal;
    if (random.chance(0.1)) await journal.snapshot(EMPTY, () => sequence, durableAlready);
    else if (random.chance(0.3)) await journal.write([group(sequence + 1n, 'a')]);
    else await commit(journal, group(sequence + 1n, 'a'), group(sequence + 2n, 'b'.repeat(random.below(200) + 1)));
  };
  for (let i = 0; i < 20; i++) await step();
  for (let i = 0; i < 5; i++) {
    const before = journal.sequence;
    const made = await copy(disturbed(disk, () => (random.chance(0.3) ? step() : Promise.resolve())));
    expect(made.sequence >= before && made.sequence <= journal.sequence).toBe(true);
    const report = await verify(made.disk, new Recorder());
    expect(report).toMatchObject({ wouldStart: true, sequence: made.sequence, tornBytes: 0 });
    expect(report.files.every(({ isWhole, isUsed }) => isWhole && isUsed)).toBe(true);
  }
});

it('refuses what is damaged, and a journal whose tail is missing', async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const journal = await open(disk);
  await commit(journal, group(1n, 'a'));
  await commit(journal, group(2n, 'b'));
  await journal.close();
  const damaged = disk.copy();
  damaged.flip('journal-00000001.log', 600);
  await expect(copy(damaged)).rejects.toThrow('journal-00000001.log is damaged at offset 512');
  await (await disk.open('journal-00000001.log', 'write')).truncate(1024);
  await expect(copy(disk)).rejects.toThrow('its tail is missing');
  await disk.unlink(REACH_FILE);
  expect((await copy(disk)).sequence).toBe(1n);
});
