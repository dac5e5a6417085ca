import { describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { put } from '../../test/simulation/journal-model.ts';
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
import { SECTOR_BYTES, segmentName } from './format.ts';
import type { SnapshotSource } from './snapshot.ts';

describe('a snapshot', () => {
  it('states what it covers, replaces the segments before it, and is replayed before those behind it', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'), group(2n, 'b'));
    const parts = ['a', 'b', 'c'];
    const source: SnapshotSource = {
      next: (part) => {
        put(part, value(parts.shift() as string));
        return parts.length > 0;
      },
    };
    const asked: bigint[] = [];
    const durableThrough = async (sequence: bigint) => {
      asked.push(sequence);
      expect(await disk.list(), 'nothing is removed before the journal is durable').toContain(segmentName(1));
      await commit(journal, group(3n, 'c'));
    };
    const { file, bytes, sequence } = await journal.snapshot(source, () => 3n, durableThrough);
    expect([sequence, asked, file]).toEqual([2n, [3n], 'snapshot-00000000000000000002.snap']);
    expect(disk.content(file).length).toBe(bytes);
    expect(await journalFiles(disk)).toEqual([segmentName(2), file]);
    expect(journal.bytesSinceSnapshot).toBe(SECTOR_BYTES);
    const replay = await recovered(disk.crash());
    const found = replay.groups.map((part) => [part.sequence, part.entries.length]);
    expect(found).toEqual([
      [2n, 1],
      [2n, 1],
      [2n, 1],
      [2n, 0],
      [3n, 1],
    ]);
  });

  it('replaces the one before it', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    for (let i = 1n; i <= 3n; i++) {
      await commit(journal, group(i, 'a'));
      await journal.snapshot(EMPTY, () => i, durableAlready);
      await journal.snapshot(EMPTY, () => i, durableAlready);
    }
    const names = await journalFiles(disk);
    expect(names.filter((name) => name.endsWith('.snap'))).toEqual(['snapshot-00000000000000000003.snap']);
    expect(names.length).toBe(2);
    expect((await recovered(disk.crash())).groups.map(({ sequence }) => sequence)).toEqual([3n]);
  });

  it('is not installed when the journal does not become durable through its end', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'));
    const never = async () => {
      throw new Error('the journal has failed');
    };
    await expect(journal.snapshot(EMPTY, () => 2n, never)).rejects.toThrow('the journal has failed');
    expect(journal.failure).toBe(undefined);
    await commit(journal, group(2n, 'b'));
    expect(await journalFiles(disk)).toEqual([segmentName(1), segmentName(2)]);
    expect((await recovered(disk.crash())).groups.length).toBe(2);
  });

  it('that fails leaves everything else as it was, and the next one succeeds', async () => {
    // Opening takes eleven operations, the commit two, the rotation five; behind them comes what is the snapshot's
    // alone.
    for (let operation = 19; operation <= 25; operation++) {
      const disk = new SimulatedDisk({ seed: operation });
      const journal = await open(disk);
      await commit(journal, group(1n, 'a'));
      disk.failAt(operation, 'ENOSPC');
      await journal.snapshot(EMPTY, () => 1n, durableAlready).catch((error) => expect(error).toBeInstanceOf(Error));
      expect(journal.failure).toBe(undefined);
      await commit(journal, group(2n, 'b'));
      await journal.snapshot(EMPTY, () => 2n, durableAlready);
      expect((await disk.list()).filter((name) => name.endsWith('.new'))).toEqual([]);
      expect((await recovered(disk.crash())).groups.map(({ sequence }) => sequence)).toEqual([2n]);
    }
  });

  it('is given up when the journal is closed', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await commit(journal, group(1n, 'a'));
    let parts = 0;
    const source: SnapshotSource = {
      next: (part) => {
        put(part, value('a'));
        if (++parts === 3) void journal.close();
        return true;
      },
    };
    await expect(journal.snapshot(source, () => 1n, durableAlready)).rejects.toThrow('closed');
    expect(parts).toBe(3);
    await expect(journal.write([group(2n, 'b')])).rejects.toThrow('the journal is closed');
  });

  it('is given up also when the journal is closed just before it is installed', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk);
    await expect(
      journal.snapshot(
        EMPTY,
        () => 0n,
        () => journal.close(),
      ),
    ).rejects.toThrow('closed');
    await simulatedHost(1).clock.settle();
    expect((await disk.list()).filter((name) => name.startsWith('snapshot'))).toEqual([]);
  });
});
