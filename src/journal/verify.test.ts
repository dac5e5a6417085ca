import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { put, Recorder } from '../../test/simulation/journal-model.ts';
import { SECTOR_BYTES, segmentName } from './format.ts';
import { GroupBuffer } from './group.ts';
import { Journal } from './journal.ts';
import { verify } from './verify.ts';

const SNAPSHOT = 'snapshot-00000000000000000002.snap';

function group(sequence: bigint): GroupBuffer {
  const buffer = new GroupBuffer();
  buffer.begin();
  buffer.stamp(sequence, 1_700_000_000_000);
  put(buffer, { entry: 'value', key: { kind: 0, bytes: 'a' }, low: Number(sequence), high: 0, at: 3 });
  return buffer;
}

/** A snapshot of two groups, and two behind it. */
async function directory(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ seed: 1 });
  const journal = await Journal.open({ disk, host: simulatedHost(1), replay: new Recorder() });
  for (let i = 1n; i <= 2n; i++) {
    await journal.write([group(i)]);
    await journal.sync();
  }
  const source = {
    next: (part: GroupBuffer) => {
      put(part, { entry: 'value', key: { kind: 0, bytes: 'a' }, low: 2, high: 0, at: 3 });
      return false;
    },
  };
  await journal.snapshot(
    source,
    () => 2n,
    async () => undefined,
  );
  for (let i = 3n; i <= 4n; i++) {
    await journal.write([group(i)]);
    await journal.sync();
  }
  return disk;
}

async function create(disk: SimulatedDisk, name: string, bytes: Uint8Array): Promise<void> {
  await (await disk.open(name, 'create')).write(bytes, 0);
}

it('tells what every file holds, and feeds what a start would recover', async () => {
  const disk = await directory();
  const { operations } = disk;
  const replay = new Recorder();
  expect(await verify(disk, replay)).toEqual({
    files: [
      {
        file: segmentName(2),
        kind: 'segment',
        bytes: 3 * SECTOR_BYTES,
        isUsed: true,
        isWhole: true,
        frames: 2,
        entries: 2,
        firstSequence: 3n,
        lastSequence: 4n,
        durableOffset: 2 * SECTOR_BYTES,
        bad: [],
      },
      {
        file: SNAPSHOT,
        kind: 'snapshot',
        bytes: 3 * SECTOR_BYTES,
        isUsed: true,
        isWhole: true,
        frames: 2,
        entries: 2,
        firstSequence: 2n,
        lastSequence: 2n,
        durableOffset: 3 * SECTOR_BYTES,
        bad: [],
      },
    ],
    wouldStart: true,
    others: [{ file: 'journal.reach', isWhole: true, damage: undefined }],
    refusal: undefined,
    sequence: 4n,
    tornBytes: 0,
  });
  expect(replay.groups.map(({ sequence }) => sequence)).toEqual([2n, 2n, 3n, 4n]);
  expect(disk.operations, 'nothing was changed').toBe(operations);
});

it('tells a torn tail from what counts, and what a start does not read', async () => {
  const disk = await directory();
  const file = await disk.open(segmentName(2), 'write');
  await file.write(new Uint8Array(700).fill(7), 3 * SECTOR_BYTES);
  await create(disk, segmentName(1), disk.content(SNAPSHOT));
  await create(disk, `${segmentName(3)}.new`, new Uint8Array(7));
  await create(disk, 'owner', new Uint8Array(7));
  const report = await verify(disk, new Recorder());
  expect(report).toMatchObject({ wouldStart: true, sequence: 4n, tornBytes: 700 });
  expect(report.files.map(({ file: name, isUsed, isWhole }) => [name, isUsed, isWhole])).toEqual([
    [segmentName(1), false, false],
    [segmentName(2), true, false],
    [`${segmentName(3)}.new`, false, true],
    [SNAPSHOT, true, true],
  ]);
  const reason = 'no frame of this file begins here';
  expect(report.files[1]?.bad).toEqual([{ offset: 3 * SECTOR_BYTES, length: 700, reason }]);
  expect(report.files[0]?.bad).toEqual([
    { offset: 0, length: 3 * SECTOR_BYTES, reason: 'it does not begin as it must' },
  ]);
});

it('tells why a start would be refused', async () => {
  const disk = await directory();
  disk.flip(SNAPSHOT, SECTOR_BYTES + 70);
  const report = await verify(disk, new Recorder());
  expect(report).toMatchObject({ wouldStart: false, sequence: undefined });
  expect(report.refusal).toMatch(
    `${SNAPSHOT} is damaged at offset ${SECTOR_BYTES}: the checksum of the frame is wrong`,
  );
  expect(report.files.map(({ isUsed, isWhole }) => [isUsed, isWhole])).toEqual([
    [false, true],
    [false, false],
  ]);
});
