import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { put, Recorder } from '../../test/simulation/journal-model.ts';
import {
  commit,
  durableAlready,
  EMPTY,
  group,
  journalFiles,
  open,
  recovered,
  value,
} from '../../test/simulation/journal-steps.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { JournalFailure } from './errors.ts';
import { FILE_HEADER_BYTES, Frame, SECTOR_BYTES, segmentName } from './format.ts';
import { frameChecksum } from './group.ts';
import { Journal } from './journal.ts';
import { REACH_FILE } from './reach.ts';

/** The marks in the frames of a segment, in order. */
function marks(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer);
  const found: number[] = [];
  for (let at = FILE_HEADER_BYTES; at < bytes.length; ) {
    found.push(Number(view.getBigUint64(at + Frame.durableOffset, true)));
    at += Math.ceil(view.getUint32(at + Frame.length, true) / SECTOR_BYTES) * SECTOR_BYTES;
  }
  return found;
}

describe('writing', () => {
  it('states in each frame the offset that was durable before it', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'), group(2n, 'b'));
    await journal.write([group(3n, 'c')]);
    await commit(journal, group(4n, 'd'));
    await commit(journal, group(5n));
    expect(marks(disk.content(segmentName(1)))).toEqual([512, 512, 1536, 1536, 2560]);
  });

  it('needs a mark until a frame states the last content durable; the mark itself needs none', async () => {
    const journal = await open(new SimulatedDisk({ seed: 1 }));
    expect(journal.needsMark).toBe(false);
    await commit(journal, group(1n, 'a'));
    expect(journal.needsMark).toBe(true);
    await commit(journal, group(2n));
    expect(journal.needsMark).toBe(false);
    await commit(journal, group(3n, 'a'));
    expect(journal.needsMark).toBe(true);
  });

  it('tells what is written and what is durable', async () => {
    const journal = await open(new SimulatedDisk({ seed: 1 }));
    await commit(journal, group(1n, 'a'));
    await journal.write([group(2n, 'a'), group(3n, 'a')]);
    expect([journal.sequence, journal.durableSequence]).toEqual([3n, 1n]);
    await journal.sync();
    expect([journal.sequence, journal.durableSequence]).toEqual([3n, 3n]);
    expect(journal.bytesSinceSnapshot).toBe(3 * SECTOR_BYTES);
  });

  it('refuses a gap in the sequence', async () => {
    const journal = await open(new SimulatedDisk({ seed: 1 }));
    await expect(journal.write([group(2n, 'a')])).rejects.toThrow('gapless');
  });

  it('does not sync what is durable already', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'));
    const { operations } = disk;
    await journal.sync();
    expect(disk.operations).toBe(operations);
  });

  it('goes on in a new segment when one is full, behind all of the old one', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk, { segmentBytesMax: 2048 });
    for (let i = 1n; i <= 7n; i++) await journal.write([group(i, 'a')]);
    expect(await journalFiles(disk)).toEqual([1, 2, 3].map(segmentName));
    expect(disk.content(segmentName(1)).length).toBe(2048);
    expect(journal.durableSequence, 'the old segments are durable').toBe(6n);
    await journal.sync();
    const replay = await recovered(disk.crash());
    expect(replay.groups.map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
  });
});

describe('starting', () => {
  it('begins with an empty directory', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    expect([journal.sequence, await journalFiles(disk)]).toEqual([0n, [segmentName(1)]]);
  });

  it('truncates a torn tail and goes on in a new segment', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await commit(await open(disk), group(1n, 'a'), group(2n, 'b'));
    const file = await disk.open(segmentName(1), 'write');
    await file.write(new Uint8Array(700).fill(7), 3 * SECTOR_BYTES - 100);
    const replay = new Recorder();
    const journal = await open(disk, { replay });
    expect(replay.groups.map(({ sequence }) => sequence)).toEqual([1n]);
    expect(disk.content(segmentName(1)).length).toBe(2 * SECTOR_BYTES);
    await commit(journal, group(2n, 'again'));
    expect((await recovered(disk)).groups.map(({ entries }) => entries)).toEqual([[value('a')], [value('again')]]);
  });

  it('ignores frames of another file, also where the next frame belongs', async () => {
    const other = new SimulatedDisk({ seed: 1 });
    await commit(await open(other), group(1n, 'ghost'));
    const ghost = other.content(segmentName(1)).slice(FILE_HEADER_BYTES);
    const disk = new SimulatedDisk({ seed: 2 });
    await open(disk, { host: simulatedHost(2) });
    await (await disk.open(segmentName(1), 'write')).write(ghost, FILE_HEADER_BYTES);
    expect((await recovered(disk)).groups).toEqual([]);
  });

  it('ignores a frame of this file that says that it lies elsewhere in it', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await commit(await open(disk), group(1n, 'a'), group(2n, 'b'));
    const bytes = disk.content(segmentName(1)).slice(2 * SECTOR_BYTES);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(Frame.sequence, 3n, true);
    view.setUint32(Frame.crc, frameChecksum([bytes]), true);
    await (await disk.open(segmentName(1), 'write')).write(bytes, 3 * SECTOR_BYTES);
    expect((await recovered(disk)).groups.length).toBe(2);
  });

  it('refuses a gap in the sequence of whole frames', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await commit(await open(disk), group(1n, 'a'), group(2n, 'b'), group(3n, 'c'));
    const bytes = disk.content(segmentName(1)).slice(2 * SECTOR_BYTES, 3 * SECTOR_BYTES);
    new DataView(bytes.buffer).setBigUint64(Frame.sequence, 5n, true);
    new DataView(bytes.buffer).setUint32(Frame.crc, frameChecksum([bytes]), true);
    await (await disk.open(segmentName(1), 'write')).write(bytes, 2 * SECTOR_BYTES);
    await expect(open(disk)).rejects.toThrow('offset 1024: group 5 stands where 2 belongs');
  });

  it('removes what is left over: temporary files, and empty segments of earlier starts', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await commit(await open(disk), group(1n, 'a'));
    await disk.open('journal-00000009.log.new', 'create');
    await disk.open('snapshot-00000000000000000001.snap.new', 'create');
    await disk.open('notes.txt', 'create');
    for (let i = 0; i < 3; i++) await recovered(disk);
    expect((await disk.list()).sort()).toEqual([segmentName(1), segmentName(12), REACH_FILE, 'notes.txt']);
  });

  it('starts even when that cannot be removed', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await commit(await open(disk), group(1n, 'a'));
    await disk.open('journal-00000002.log.new', 'create');
    // Writing and syncing the tail takes two operations, the new segment five.
    disk.failAt(disk.operations + 8, 'EIO');
    const journal = await open(disk);
    await commit(journal, group(2n, 'b'));
    expect((await recovered(disk.crash())).groups.length).toBe(2);
  });
});

describe('reading', () => {
  it('takes frames of every size from a file that is longer than its window', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    const counts = [1, 20_000, 3, 40_000, 1, 1, 20_000];
    for (const [i, count] of counts.entries()) {
      const buffer = group(BigInt(i + 1));
      for (let k = 0; k < count; k++) put(buffer, value(`${i}:${k}`.padEnd(200, '.')));
      await journal.write([buffer]);
    }
    await journal.sync();
    expect(disk.content(segmentName(1)).length).toBeGreaterThan(16 * 1024 * 1024);
    const replay = await recovered(disk);
    expect(replay.groups.map(({ entries }) => entries.length)).toEqual(counts);
    for (const [i, { entries }] of replay.groups.entries()) {
      expect(entries.at(-1)).toEqual(value(`${i}:${entries.length - 1}`.padEnd(200, '.')));
    }
  });

  it('and everything else works on a real directory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tallyd-journal-'));
    try {
      const disk = new NodeDisk(directory);
      const host = nodeHost();
      const journal = await Journal.open({ disk, host, replay: new Recorder() });
      for (let i = 1n; i <= 3n; i++) await commit(journal, group(i, 'a'));
      await journal.snapshot(EMPTY, () => 3n, durableAlready);
      await commit(journal, group(4n, 'b'));
      await journal.close();
      await appendFile(join(directory, segmentName(2)), 'torn');
      const replay = new Recorder();
      const again = await Journal.open({ disk, host, replay });
      expect(replay.groups.map(({ sequence }) => sequence)).toEqual([3n, 4n]);
      expect(again.sequence).toBe(4n);
      await again.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe('a failure', () => {
  it.each(['ENOSPC', 'EIO'] as const)(
    'of a write (%s) makes the journal unusable until it is replaced',
    async (fault) => {
      const disk = new SimulatedDisk({ seed: 1 });
      const journal = await open(disk);
      await commit(journal, group(1n, 'a'));
      disk.failAt(disk.operations + 1, fault);
      await expect(journal.write([group(2n, 'lost')])).rejects.toThrow(JournalFailure);
      expect(journal.failure?.message).toContain(fault);
      const { operations } = disk;
      await expect(journal.write([group(2n, 'b')])).rejects.toThrow(fault);
      await expect(journal.sync()).rejects.toThrow(fault);
      await expect(journal.snapshot(EMPTY, () => 1n, durableAlready)).rejects.toThrow(fault);
      expect(disk.operations, 'nothing is tried').toBe(operations);
      await journal.replace((sequence) => group(sequence, 'restated'));
      expect([journal.failure, journal.sequence, journal.durableSequence]).toEqual([undefined, 2n, 2n]);
      const replay = await recovered(disk.crash());
      expect(replay.groups.map(({ entries }) => entries)).toEqual([[value('a')], [value('restated')]]);
    },
  );

  it('of a sync gives up everything since the last one that succeeded, though it can be read', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'));
    await journal.write([group(2n, 'b'), group(3n, 'c')]);
    disk.failAt(disk.operations + 1, 'EIO');
    await expect(journal.sync()).rejects.toThrow(JournalFailure);
    await journal.replace((sequence) => group(sequence, 'b and c'));
    expect(journal.sequence).toBe(2n);
    // Not a crash: the cache still shows whole frames behind the point that the new segment continues.
    const replay = await recovered(disk.kill());
    expect(replay.groups.map(({ entries }) => entries)).toEqual([[value('a')], [value('b and c')]]);
  });

  it('is what takes longer than the deadline, whatever comes of it later', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const host = simulatedHost(1);
    const journal = await open(disk, { host, writeDeadlineMs: 1000 });
    await commit(journal, group(1n, 'a'));
    disk.failAt(disk.operations + 1, 'hang');
    const writing = journal.write([group(2n, 'late')]);
    const refused = expect(writing).rejects.toThrow('writing journal-00000001.log took longer than 1000 ms');
    await host.clock.advance(1000);
    await refused;
    await journal.replace((sequence) => group(sequence, 'in time'));
    disk.release();
    await host.clock.settle();
    expect(disk.content(segmentName(1)).length, 'the late write has arrived').toBe(3 * SECTOR_BYTES);
    await commit(journal, group(3n, 'more'));
    const replay = await recovered(disk.crash());
    expect(replay.groups.map(({ entries }) => entries)).toEqual([[value('a')], [value('in time')], [value('more')]]);
  });

  it('of a replacement leaves the journal as it was, and the next attempt succeeds', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'));
    disk.failAt(disk.operations + 1, 'EIO');
    await expect(journal.write([group(2n, 'lost')])).rejects.toThrow(JournalFailure);
    const restate = (sequence: bigint) => group(sequence, 'restated');
    // Each of its steps: create, header, group, sync, rename, directory sync; and the clean-up behind them.
    for (let step = 1; step <= 6; step++) {
      disk.failAt(disk.operations + step, 'ENOSPC');
      await expect(journal.replace(restate)).rejects.toThrow('ENOSPC');
      expect(journal.failure).toBeInstanceOf(JournalFailure);
    }
    await journal.replace(restate);
    await commit(journal, group(3n, 'b'));
    expect((await recovered(disk.crash())).groups.length).toBe(3);
  });

  it('before anything was durable in a segment leaves that one out of the chain', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'));
    // A new segment, and nothing durable in it but its header.
    await journal.snapshot(EMPTY, () => 1n, durableAlready);
    disk.failAt(disk.operations + 1, 'EIO');
    await expect(journal.write([group(2n, 'lost')])).rejects.toThrow('EIO');
    await journal.replace((sequence) => group(sequence, 'restated'));
    await commit(journal, group(3n, 'b'));
    expect((await recovered(disk)).groups.map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n]);
  });

  it('leaves what the system has as it was until a new segment holds what is stated again', async () => {
    for (let step = 1; step <= 6; step++) {
      const disk = new SimulatedDisk({ seed: step });
      const journal = await open(disk);
      await commit(journal, group(1n, 'a'));
      await journal.write([group(2n, 'answered in mode interval')]);
      disk.failAt(disk.operations + 1, 'ENOSPC');
      await expect(journal.write([group(3n, 'lost')])).rejects.toThrow('ENOSPC');
      disk.failAt(disk.operations + step, 'ENOSPC');
      const names = ['answered in mode interval', 'lost'];
      await expect(journal.replace((sequence) => group(sequence, ...names))).rejects.toThrow('ENOSPC');
      const { state } = await recovered(disk.kill());
      expect([...state.keys()], `killed after step ${step}`).toContain('record 0/answered in mode interval');
    }
  });

  it('is nothing but an error of the disk', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await expect(journal.write([group(7n, 'a')])).rejects.toThrow('groups are written gapless');
    expect(journal.failure).toBe(undefined);
  });

  it('is needed for a replacement', async () => {
    const journal = await open(new SimulatedDisk({ seed: 1 }));
    await expect(journal.replace((sequence) => group(sequence, 'a'))).rejects.toThrow(
      'only a journal that has failed is replaced',
    );
  });
});
