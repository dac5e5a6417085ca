// Bytes that rot. Below the durability mark a start is refused with file and offset, and nothing is changed; behind
// it, bad bytes are a torn write, and everything before them is there.

import { beforeAll, describe, expect, it } from 'vitest';
import type { Disk } from '../../src/host/host.ts';
import { DamageError } from '../../src/journal/errors.ts';
import { FILE_HEADER_BYTES, Frame, SECTOR_BYTES, wholeSectors } from '../../src/journal/format.ts';
import { Window } from '../../src/journal/frame.ts';
import { type Continuation, encodeSegmentHeader, readSegmentHeader } from '../../src/journal/header.ts';
import { Journal } from '../../src/journal/journal.ts';
import { recover } from '../../src/journal/recovery.ts';
import { type LoadedSnapshot, loadSnapshot } from '../../src/journal/snapshot-reader.ts';
import { verify } from '../../src/journal/verify.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import { SimulatedDisk } from './disk.ts';
import { simulatedHost } from './host.ts';
import { Recorder, stateText } from './journal-model.ts';
import { JournalWorld } from './journal-world.ts';

const SEED = 7;

/** Several segments, the last one with frames before and behind its mark, and a snapshot. */
async function directory(): Promise<SimulatedDisk> {
  const world = new JournalWorld(SEED, new SimulatedDisk({ seed: SEED }));
  await world.open();
  await world.run(60);
  expect(world.counts.snapshots).toBeGreaterThan(0);
  world.disk = world.disk.kill();
  await world.open();
  await world.run(120, false);
  return world.disk.kill();
}

/** Where the frames of a file begin, and behind the last one, where the file ends or is only allocated. */
function frameOffsets(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer);
  const offsets = [FILE_HEADER_BYTES];
  for (let at = FILE_HEADER_BYTES; at < bytes.length; offsets.push(at)) {
    const length = view.getUint32(at + Frame.length, true);
    if (length === 0) break;
    at += wholeSectors(length);
  }
  return offsets;
}

async function refusal(disk: Disk): Promise<DamageError> {
  const error = await recover(disk, new Recorder()).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DamageError);
  return error as DamageError;
}

function loadOnly(disk: Disk, name: string): Promise<LoadedSnapshot> {
  return loadSnapshot(disk, name, BigInt(name.replace(/\D/g, '')), new Window(), new Recorder());
}

async function copyFile(to: SimulatedDisk, name: string, bytes: Uint8Array): Promise<void> {
  const file = await to.open(name, 'create');
  await file.write(bytes, 0);
}

describe('a flipped bit', () => {
  let disk: SimulatedDisk;
  let before: Recorder;
  let used: readonly string[];
  let last: string;
  let mark: number;

  beforeAll(async () => {
    disk = await directory();
    before = new Recorder();
    ({ used } = await recover(disk, before));
    last = used.at(-1) as string;
    const report = await verify(disk, new Recorder());
    expect(report.wouldStart).toBe(true);
    mark = report.files.find(({ file }) => file === last)?.durableOffset as number;
    expect(used.length, 'a snapshot and several segments').toBeGreaterThan(3);
    expect(mark, 'the last segment states that it is durable').toBeGreaterThan(2 * FILE_HEADER_BYTES);
    expect(mark, 'and not to the end').toBeLessThan(disk.content(last).length);
  });

  it('in any sector of any file: is refused below the mark, and a torn tail behind it', async () => {
    const random = new SeededRandom(seed);
    let tornTails = 0;
    for (const name of used) {
      const frames = frameOffsets(disk.content(name));
      const end = name === last ? disk.content(name).length : (frames.at(-1) ?? 0);
      for (let sector = 0; sector < end; sector += SECTOR_BYTES) {
        const offset = sector + random.below(SECTOR_BYTES);
        const bit = random.below(8);
        disk.flip(name, offset, bit);
        const frame = frames.findLast((start) => start <= offset) ?? 0;
        const where = `${name}, offset ${offset}, bit ${bit}`;
        if (name !== last || frame < mark) {
          const { file, offset: at } = await refusal(disk);
          expect([file, at < FILE_HEADER_BYTES ? 0 : at], where).toEqual([name, frame]);
        } else {
          tornTails++;
          const after = new Recorder();
          const { tail } = await recover(disk, after);
          expect(tail, where).toMatchObject({ name: last, wholeOffset: frame });
          expect(after.groups, where).toEqual(before.groups.slice(0, after.groups.length));
        }
        disk.flip(name, offset, bit);
      }
    }
    expect(tornTails).toBeGreaterThan(0);
    const healed = new Recorder();
    await recover(disk, healed);
    expect(stateText(healed.state)).toBe(stateText(before.state));
  });

  it('leaves the files as they are when it stops the start, and tells what to do', async () => {
    disk.flip(last, FILE_HEADER_BYTES + 100);
    const operations = disk.operations;
    const opening = Journal.open({ disk, host: simulatedHost(1), replay: new Recorder() });
    await expect(opening).rejects.toThrow(
      new RegExp(`^${last} is damaged at offset ${FILE_HEADER_BYTES}: .*restore .*backup.*tallyd verify`),
    );
    expect(disk.operations).toBe(operations);
    disk.flip(last, FILE_HEADER_BYTES + 100);
  });

  it('is found by verify, which says where, and goes on behind it', async () => {
    disk.flip(last, FILE_HEADER_BYTES + 100);
    const report = await verify(disk, new Recorder());
    disk.flip(last, FILE_HEADER_BYTES + 100);
    const file = report.files.find(({ file: name }) => name === last);
    expect(report).toMatchObject({ wouldStart: false, sequence: undefined });
    expect(report.refusal).toContain(`${last} is damaged at offset ${FILE_HEADER_BYTES}`);
    expect(file).toMatchObject({ isWhole: false, durableOffset: mark });
    const length = (frameOffsets(disk.content(last))[1] as number) - FILE_HEADER_BYTES;
    const reason = 'the checksum of the frame is wrong';
    expect(file?.bad).toEqual([{ offset: FILE_HEADER_BYTES, length, reason }]);
  });
});

describe('a missing or wrong file', () => {
  it('is refused: any segment that another continues, or all of them', async () => {
    const { used } = await recover(await directory(), new Recorder());
    const segments = used.filter((name) => name.startsWith('journal-'));
    for (const name of segments.slice(0, -1)) {
      const disk = await directory();
      await disk.unlink(name);
      expect((await refusal(disk)).file).toBe(name);
    }
    const disk = await directory();
    for (const name of segments) await disk.unlink(name);
    expect((await refusal(disk)).message).toContain('no journal segment');
  });

  it('is refused: the snapshot, once the segments before it are gone', async () => {
    const disk = await directory();
    const { used } = await recover(disk, new Recorder());
    await disk.unlink(used[0] as string);
    expect((await refusal(disk)).message).toContain('it is missing');
  });

  it('is refused: another file under the name of a segment, or a segment that ends too early', async () => {
    const disk = await directory();
    const { used } = await recover(disk, new Recorder());
    const name = used.at(-2) as string;
    const bytes = disk.content(name);
    await disk.unlink(name);
    await copyFile(disk, name, bytes.subarray(0, bytes.length - SECTOR_BYTES));
    expect((await refusal(disk)).message).toContain('was durable through offset');
    await disk.unlink(name);
    await copyFile(disk, name, new Uint8Array(bytes.length));
    expect((await refusal(disk)).message).toContain('does not begin as it must');
    await disk.unlink(name);
    await copyFile(disk, name, disk.content(used.at(-1) as string));
    expect((await refusal(disk)).message).toContain('by its header');
  });

  it('is refused: a header that continues another group than the one before it ends with', async () => {
    const disk = await directory();
    const { used } = await recover(disk, new Recorder());
    const name = used.at(-1) as string;
    const file = await disk.open(name, 'write');
    const header = await readSegmentHeader(file, name, Number(name.replace(/\D/g, '')));
    const continues = header.continues as Continuation;
    const offset = frameOffsets(disk.content(used.at(-2) as string)).findLast((start) => start < continues.offset);
    await file.write(encodeSegmentHeader({ ...header, continues: { ...continues, offset: offset as number } }), 0);
    expect((await refusal(disk)).message).toContain('is its last, but the next segment continues');
  });

  it('is refused: a journal that was rolled back behind the end of the snapshot', async () => {
    const disk = await directory();
    const { used } = await recover(disk, new Recorder());
    const { beginSequence, endSequence } = await loadOnly(disk, used[0] as string);
    expect(endSequence, 'groups came while the snapshot was written').toBeGreaterThan(beginSequence);
    // The first segment behind the snapshot alone, without its groups.
    const [snapshot, first, ...rest] = used as [string, string, ...string[]];
    const bytes = disk.content(first);
    for (const name of [first, ...rest]) await disk.unlink(name);
    await copyFile(disk, first, bytes.subarray(0, FILE_HEADER_BYTES));
    const report = await verify(disk, new Recorder());
    expect(report.refusal).toContain(`${snapshot} was installed when it reached`);
  });
});

describe('a damaged snapshot', () => {
  /** Two snapshots, with everything that the older one needs where the test wants it. */
  async function twoSnapshots(): Promise<{ disk: SimulatedDisk; older: string; newer: string; state: string }> {
    const world = new JournalWorld(SEED, new SimulatedDisk({ seed: SEED }));
    await world.open();
    const kept = new Map<string, Uint8Array>();
    while (world.counts.snapshots < 2) {
      await world.run(10);
      if (world.counts.snapshots < 2)
        for (const name of await world.disk.list()) kept.set(name, world.disk.content(name));
    }
    await world.run(3);
    const disk = world.disk.kill();
    const present = await disk.list();
    for (const [name, bytes] of kept) if (!present.includes(name)) await copyFile(disk, name, bytes);
    const replay = new Recorder();
    await recover(disk, replay);
    const snapshots = (await disk.list()).filter((name) => name.endsWith('.snap')).sort();
    expect(snapshots.length).toBe(2);
    return { disk, older: snapshots[0] as string, newer: snapshots[1] as string, state: stateText(replay.state) };
  }

  it('gives way to an older one that still has all its segments, and nothing of it is taken', async () => {
    const { disk, older, newer, state } = await twoSnapshots();
    disk.flip(newer, disk.content(newer).length - 1);
    const replay = new Recorder();
    const { used, obsolete } = await recover(disk, replay);
    expect(used[0]).toBe(older);
    expect(stateText(replay.state)).toBe(state);
    expect(obsolete).not.toContain(newer);
    await disk.unlink(newer);
    const without = new Recorder();
    await recover(disk, without);
    expect(replay.groups).toEqual(without.groups);
  });

  it('stops the start when the older one lacks a segment', async () => {
    const { disk, newer } = await twoSnapshots();
    disk.flip(newer, FILE_HEADER_BYTES + 20);
    const { used } = await recover(disk, new Recorder());
    await disk.unlink(used[1] as string);
    expect((await refusal(disk)).file).toBe(newer);
  });

  it('is also one that goes on behind its end', async () => {
    const { disk, newer } = await twoSnapshots();
    const end = disk.content(newer).length;
    await (await disk.open(newer, 'write')).write(new Uint8Array(SECTOR_BYTES), end);
    await expect(loadOnly(disk, newer)).rejects.toThrow(`offset ${end}: it goes on behind its end`);
  });

  it('stops the start when there is no other', async () => {
    const { disk, older, newer } = await twoSnapshots();
    disk.flip(newer, FILE_HEADER_BYTES + 20);
    await disk.unlink(older);
    expect(await refusal(disk)).toMatchObject({ file: newer, offset: FILE_HEADER_BYTES });
  });
});
