/**
 * What a start notices, by `journal.reach`, that looks like a journal which ended earlier; and a directory that is
 * gone.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { type SimulatedHost, simulatedHost } from '../../test/simulation/host.ts';
import { Recorder } from '../../test/simulation/journal-model.ts';
import { commit, durableAlready, EMPTY, group, open } from '../../test/simulation/journal-steps.ts';
import { DamageError } from './errors.ts';
import { SECTOR_BYTES, segmentName } from './format.ts';
import { Journal } from './journal.ts';
import { REACH_FILE } from './reach.ts';
import { verify } from './verify.ts';

const INTERVAL_MS = 1000;

let host: SimulatedHost;
let disk: SimulatedDisk;
beforeEach(() => {
  host = simulatedHost(1);
  disk = new SimulatedDisk({ seed: 1 });
});

const openHere = (): Promise<Journal> => open(disk, { host });

async function recoveredSequence(): Promise<bigint> {
  const journal = await Journal.open({ disk, host, replay: new Recorder() });
  await journal.close();
  return journal.sequence;
}

describe('a tail that is missing', () => {
  const missing = /it was durable through group 3 .* its tail is missing. To start without .* remove journal.reach/;
  const ways: Readonly<Record<string, (name: string) => Promise<void>>> = {
    'cut off between two frames': async (name) =>
      (await disk.open(name, 'write')).truncate(disk.content(name).length - SECTOR_BYTES),
    'removed with its segment': (name) => disk.unlink(name),
  };

  it.each(Object.keys(ways))('is refused, by verify too, until somebody accepts the loss: %s', async (way) => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'));
    await journal.snapshot(EMPTY, () => 1n, durableAlready);
    await commit(journal, group(2n, 'a'), group(3n, 'b'));
    await journal.close();
    await ways[way]?.(segmentName(2));
    await expect(recoveredSequence()).rejects.toThrow(way.startsWith('cut') ? missing : DamageError);
    expect(await verify(disk, new Recorder())).toMatchObject({ wouldStart: false });
    if (!way.startsWith('cut')) return;
    await disk.unlink(REACH_FILE);
    expect(await recoveredSequence()).toBe(2n);
  });

  it('is refused when everything is gone but the file', async () => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'));
    await journal.close();
    await disk.unlink(segmentName(1));
    await expect(recoveredSequence()).rejects.toThrow(
      /the journal ends at group 0, but it was durable through group 1/,
    );
  });

  it('is refused when a segment is gone that restated what an earlier one still shows', async () => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'));
    await journal.write([group(2n, 'b'), group(3n, 'c')]);
    disk.failAt(disk.operations + 1, 'EIO');
    await expect(journal.sync()).rejects.toThrow('EIO');
    await journal.replace((sequence) => group(sequence, 'b', 'c'));
    await journal.close();
    await disk.unlink(segmentName(2));
    await expect(recoveredSequence()).rejects.toThrow(/the journal ends at group 3, but .* group 2 \(journal-00000002/);
  });

  it('is noticed a second after it was durable, without a clean stop', async () => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'), group(2n, 'b'));
    await host.clock.advance(INTERVAL_MS);
    disk = disk.kill();
    await (await disk.open(segmentName(1), 'write')).truncate(2 * SECTOR_BYTES);
    await expect(recoveredSequence()).rejects.toThrow('its tail is missing');
  });

  it('is none where a power cut takes what was not synced', async () => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'));
    await journal.write([group(2n, 'b')]);
    await host.clock.advance(INTERVAL_MS);
    disk = disk.crash();
    // Whatever the cut has left of it.
    await (await disk.open(segmentName(1), 'write')).truncate(2 * SECTOR_BYTES);
    expect(await recoveredSequence()).toBe(1n);
  });
});

describe('the file', () => {
  it('is made for a directory of an earlier version', async () => {
    await commit(await openHere(), group(1n, 'a'));
    disk = disk.kill();
    await disk.unlink(REACH_FILE);
    expect(await recoveredSequence()).toBe(1n);
    expect(await disk.list()).toContain(REACH_FILE);
  });

  it('counts with one of its sectors, and is refused with none', async () => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'));
    await journal.close();
    disk.flip(REACH_FILE, SECTOR_BYTES + 70);
    const notice = expect.stringContaining('journal.reach is damaged at offset 512');
    expect((await verify(disk, new Recorder())).others).toMatchObject([{ isWhole: false, damage: notice }]);
    const told: string[] = [];
    const again = await open(disk, { host, onDamaged: (what) => told.push(what) });
    await again.close();
    expect([again.sequence, ...told]).toEqual([1n, notice]);
    for (const at of [70, SECTOR_BYTES + 70]) disk.flip(REACH_FILE, at);
    const isDamaged = /journal.reach is damaged at offset 0: none of its sectors is whole: remove it/;
    await expect(recoveredSequence().then(() => disk.flip(REACH_FILE, 70))).rejects.toThrow(isDamaged);
  });

  it('does no harm when it cannot be written', async () => {
    const journal = await openHere();
    await commit(journal, group(1n, 'a'));
    disk.failAt(disk.operations + 1, 'ENOSPC');
    await host.clock.advance(INTERVAL_MS);
    await commit(journal, group(2n, 'b'));
    expect(journal.failure).toBe(undefined);
    disk = disk.crash();
    expect(await recoveredSequence()).toBe(2n);
  });
});

it('a directory that is gone is a failure within a second, until it is back', async () => {
  const failures: string[] = [];
  const journal = await open(disk, { host, onFailure: (failure) => failures.push(failure.message) });
  await commit(journal, group(1n, 'a'));
  await disk.rename(REACH_FILE, 'elsewhere');
  await host.clock.advance(INTERVAL_MS);
  expect(failures).toEqual([expect.stringContaining('was removed, moved or replaced')]);
  await expect(journal.write([group(2n, 'b')])).rejects.toThrow('journal.reach is missing');
  const restate = (sequence: bigint) => group(sequence, 'b');
  await expect(journal.replace(restate)).rejects.toThrow('journal.reach is missing');
  await disk.rename('elsewhere', REACH_FILE);
  await journal.replace(restate);
  expect(journal.durableSequence).toBe(2n);
});
