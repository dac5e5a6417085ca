// The formats, pinned byte by byte: whoever changes them sees it here, raises `FORMAT_VERSION`, and goes on reading
// what is pinned now. `docs/formats.md` explains these very bytes.

import { crc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { put, Recorder } from '../../test/simulation/journal-model.ts';
import type { Host } from '../host/host.ts';
import { putBlocks } from './entries/blocks.ts';
import { putIdempotency } from './entries/idempotency.ts';
import { putIndexLeaf } from './entries/index-leaf.ts';
import { putTable } from './entries/table.ts';
import { GroupBuffer } from './group.ts';
import { decodeReach, encodeReach } from './header.ts';
import { Journal } from './journal.ts';
import { verify } from './verify.ts';

const TIME_MS = 1_700_000_000_123;
const LIKES = { kind: 0, bytes: 'likes:42' };
const WINDOW = { kind: 1, bytes: `views${'\x3c\0\0\0'}${'\x07\0\0\0'}` };

const IMPORT = { entry: 'import', digest: '0f'.repeat(16), content: 'f0'.repeat(8), ms: TIME_MS } as const;
const FORGOTTEN = { entry: 'forgotten', from: TIME_MS - 3_600_000, through: TIME_MS } as const;

/** The second group of the first segment, as versions wrote it that had a horizon of keys. */
const goldenHorizon = `
    1024 544c59465c0000001111111111111111
    1040 11111111111111110200000000000000
    1056 7c68e5cf8b0100000004000000000000
    1072 00040000000000000200000009db9aff
    1088 0c000083000800006c696b65733a3432
    1104 08000085fb79aecf8b01000000000000
    1536
`;

const golden: Readonly<Record<string, string>> = {
  'journal-00000001.log': `
    0000 54414c4c594a524e0100000000000000
    0016 11111111111111111111111111111111
    0032 7b68e5cf8b0100000100000000000000
    0048 01000000000000000000000000000000
    0496 0000000000000000000000006bc829a4
    0512 544c5946b40000001111111111111111
    0528 11111111111111110100000000000000
    0544 7b68e5cf8b0100000002000000000000
    0560 000200000000000004000000fdddfbb6
    0576 18000081fbffffffffffffff00f15365
    0592 000800006c696b65733a343214000082
    0608 c8515c18a3010000000800006c696b65
    0624 733a34321d0000810100000002000000
    0640 00f153650105000076696577733c0000
    0656 0007000000000000170000847b68e5cf
    0672 8b01000001050300612d6b6579c0ffee
    0688 01020300000000000000000000000000
    1024 544c5946880000001111111111111111
    1040 11111111111111110200000000000000
    1056 7c68e5cf8b0100000004000000000000
    1072 00040000000000000300000072df7789
    1088 0c000083000800006c696b65733a3432
    1104 2000008a0f0f0f0f0f0f0f0f0f0f0f0f
    1120 0f0f0f0ff0f0f0f0f0f0f0f07b68e5cf
    1136 8b0100001000008bfb79aecf8b010000
    1152 7b68e5cf8b0100000000000000000000
    1536
  `,
  'journal.reach': `
    0000 54414c4c595243480100000000000000
    0032 7b68e5cf8b0100000000000000000000
    0496 0000000000000000000000002fda1667
    0512 54414c4c595243480100000000000000
    0544 7b68e5cf8b0100000000000000000000
    1008 0000000000000000000000002fda1667
    1024
  `,
  'journal-00000002.log': `
    0000 54414c4c594a524e0100000000000000
    0016 22222222222222222222222222222222
    0032 7b68e5cf8b0100000200000000000000
    0048 03000000000000000100000000000000
    0064 11111111111111111111111111111111
    0080 00060000000000000200000000000000
    0496 00000000000000000000000059d2ac48
    0512 544c5946640000002222222222222222
    0528 22222222222222220300000000000000
    0544 7d68e5cf8b0100000002000000000000
    0560 000200000000000001000000130c12b3
    0576 1d000081020000000200000001f15365
    0592 0105000076696577733c000000070000
    1024
  `,
  'snapshot-00000000000000000002.snap': `
    0000 54414c4c59534e500100000000000000
    0016 33333333333333333333333333333333
    0032 7b68e5cf8b0100000200000000000000
    0496 0000000000000000000000008a1ef342
    0512 544c5946640000003333333333333333
    0528 33333333333333330100000000000000
    0544 7b68e5cf8b0100000000000000000000
    0560 0002000000000000010000000375789e
    0576 1d000081010000000200000000f15365
    0592 0105000076696577733c000000070000
    1024 544c5946540000003333333333333333
    1040 33333333333333330200000000000000
    1056 7b68e5cf8b0100000000000000000000
    1072 00040000000000000100000069f7b5c7
    1088 10000086030000000000000001000000
    1536
  `,
};

const goldenTable = `
  0000 54414c4c59534e500100000000000000
  0016 33333333333333333333333333333333
  0032 7b68e5cf8b0100000000000000000000
  0496 00000000000000000000000071721bdd
  0512 544c5946cc0000003333333333333333
  0528 33333333333333330100000000000000
  0544 7b68e5cf8b0100000000000000000000
  0560 000200000000000004000000699acc64
  0576 18000087010000000000000001000000
  0592 00000000010203040506070810000088
  0608 01000000020000000400000099000000
  0624 40000089fbffffffffffffff00f15365
  0640 081003006c696b65733a343200000000
  0656 00000000020000000000000000000000
  0688 0000000014000082c8515c18a3010000
  0704 000800006c696b65733a343200000000
  1024 544c5946540000003333333333333333
  1040 33333333333333330200000000000000
  1056 7b68e5cf8b0100000000000000000000
  1072 000400000000000001000000e91b8ac6
  1088 10000086000000000000000004000000
  1536
`;

/** Rows of 16 bytes that are not all zero, and the length. */
function dump(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Buffer.from(bytes.subarray(at, at + 16));
    if (row.some((byte) => byte !== 0)) rows.push(`${String(at).padStart(4, '0')} ${row.toString('hex')}`);
  }
  return [...rows, `${String(bytes.length).padStart(4, '0')}`].join('\n');
}

function undump(text: string): Uint8Array {
  const rows = rowsOf(text)
    .split('\n')
    .map((row) => row.split(' '));
  const bytes = new Uint8Array(Number(rows.at(-1)?.[0]));
  for (const [at, hex] of rows) if (hex !== undefined) bytes.set(Buffer.from(hex, 'hex'), Number(at));
  return bytes;
}

/** The rows of a fixture without the indentation that it has here. */
function rowsOf(text: string): string {
  return text
    .split('\n')
    .map((row) => row.trim())
    .filter((row) => row !== '')
    .join('\n');
}

/** Ids are 0x11 11 ..., 0x22 22 ... in the order in which files are made. */
function host(): Host {
  let files = 0;
  const bytes = (length: number) => new Uint8Array(length).fill(0x11 * ++files);
  return { clock: new SimulatedClock(TIME_MS), random: { bytes } };
}

/** Two groups, a mark, a snapshot, and a group behind it. */
async function write(): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const disk = new SimulatedDisk({ seed: 1 });
  const journal = await Journal.open({ disk, host: host(), replay: new Recorder() });
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, TIME_MS);
  put(group, { entry: 'value', key: LIKES, low: -5, high: -1, at: 1_700_000_000 });
  put(group, { entry: 'deadline', key: LIKES, ms: 1_800_000_000_456 });
  put(group, { entry: 'value', key: WINDOW, low: 1, high: 2, at: 1_700_000_000 });
  const outcomes = Uint8Array.of(1, 2, 3);
  putIdempotency(group, { scope: 'import', key: 'a-key', fingerprint: 'c0ffee', appliedAtMs: TIME_MS, outcomes });
  await journal.write([group]);
  await journal.sync();
  group.begin();
  group.stamp(2n, TIME_MS + 1);
  put(group, { entry: 'delete', key: LIKES });
  put(group, IMPORT);
  put(group, FORGOTTEN);
  await journal.write([group]);
  await journal.sync();
  const source = {
    next: (part: GroupBuffer) => {
      put(part, { entry: 'value', key: WINDOW, low: 1, high: 2, at: 1_700_000_000 });
      return false;
    },
  };
  await journal.snapshot(
    source,
    () => 3n,
    async () => {
      // The snapshot is about to make it superfluous.
      files.set('journal-00000001.log', disk.content('journal-00000001.log'));
      group.begin();
      group.stamp(3n, TIME_MS + 2);
      put(group, { entry: 'value', key: WINDOW, low: 2, high: 2, at: 1_700_000_001 });
      await journal.write([group]);
      await journal.sync();
    },
  );
  for (const name of await disk.list()) files.set(name, disk.content(name));
  return files;
}

/**
 * A snapshot that copies a table: its head, a segment of an index (shorter than a real one), two blocks, a deadline.
 */
async function writeTable(): Promise<Uint8Array> {
  const disk = new SimulatedDisk({ seed: 1 });
  const journal = await Journal.open({ disk, host: host(), replay: new Recorder() });
  const [low, high, updated] = [-5, -1, 1_700_000_000];
  const key = [0x656b696c, 0x32343a73];
  const record = [low, high, updated, 8 | (1 << 12) | (3 << 16), ...key, 0, 0];
  const next = (part: GroupBuffer): boolean => {
    putTable(part, { records: 1, indexDepth: 1, hashKey: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
    putIndexLeaf(part, { depth: 1, used: 2, words: Int32Array.of(0, 4, 0x99, 0), from: 1, to: 3 });
    putBlocks(part, Int32Array.of(0, ...record, 2, 0, 0, 0, 0, 0, 0, 0), 1, 17);
    put(part, { entry: 'deadline', key: LIKES, ms: 1_800_000_000_456 });
    return false;
  };
  const { file } = await journal.snapshot(
    { next },
    () => 0n,
    async () => undefined,
  );
  return disk.content(file);
}

async function diskWith(...names: string[]): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ seed: 1 });
  for (const name of names) await (await disk.open(name, 'create')).write(undump(golden[name] as string), 0);
  return disk;
}

it('are written as they are pinned here', async () => {
  const files = [...(await write())].sort().map(([name, bytes]) => [name, dump(bytes)]);
  expect(Object.fromEntries(files)).toEqual(
    Object.fromEntries(Object.entries(golden).map(([name, text]) => [name, rowsOf(text)])),
  );
});

it('are written and read as they are pinned here: a copy of a table', async () => {
  expect(dump(await writeTable())).toBe(rowsOf(goldenTable));
  const disk = await diskWith('journal-00000001.log');
  const file = await disk.open('snapshot-00000000000000000000.snap', 'create');
  await file.write(undump(goldenTable), 0);
  const replay = new Recorder();
  expect(await verify(disk, replay)).toMatchObject({ wouldStart: true, sequence: 2n });
  expect(replay.groups[0].entries).toEqual([
    { entry: 'value', key: LIKES, low: -5, high: -1, at: 1_700_000_000 },
    { entry: 'deadline', key: LIKES, ms: 1_800_000_000_456 },
  ]);
});

it('are read as they are pinned here: a journal', async () => {
  const disk = await diskWith('journal-00000001.log', 'journal-00000002.log');
  const replay = new Recorder();
  expect(await verify(disk, replay)).toMatchObject({ wouldStart: true, sequence: 3n, tornBytes: 0 });
  expect(replay.groups).toEqual([
    {
      sequence: 1n,
      entries: [
        { entry: 'value', key: LIKES, low: -5, high: -1, at: 1_700_000_000 },
        { entry: 'deadline', key: LIKES, ms: 1_800_000_000_456 },
        { entry: 'value', key: WINDOW, low: 1, high: 2, at: 1_700_000_000 },
        { entry: 'idempotency', key: 'a-key', answer: '\x01\x02\x03', ms: TIME_MS },
      ],
    },
    {
      sequence: 2n,
      entries: [{ entry: 'delete', key: LIKES }, IMPORT, FORGOTTEN],
    },
    { sequence: 3n, entries: [{ entry: 'value', key: WINDOW, low: 2, high: 2, at: 1_700_000_001 }] },
  ]);
});

it('are read as earlier versions wrote them: a horizon of idempotency keys', async () => {
  const disk = await diskWith('journal-00000001.log');
  const file = await disk.open('journal-00000001.log', 'write');
  await file.write(undump(goldenHorizon).subarray(1024), 1024);
  const replay = new Recorder();
  expect(await verify(disk, replay)).toMatchObject({ wouldStart: true, sequence: 2n });
  expect(replay.groups.at(-1)?.entries[1]).toEqual({ entry: 'horizon', ms: TIME_MS - 3_600_000 });
});

it('are read as they are pinned here: a snapshot, and the journal behind it', async () => {
  const disk = await diskWith('snapshot-00000000000000000002.snap', 'journal-00000002.log');
  const replay = new Recorder();
  expect(await verify(disk, replay)).toMatchObject({ wouldStart: true, sequence: 3n });
  expect(replay.groups).toEqual([
    { sequence: 2n, entries: [{ entry: 'value', key: WINDOW, low: 1, high: 2, at: 1_700_000_000 }] },
    { sequence: 2n, entries: [] },
    { sequence: 3n, entries: [{ entry: 'value', key: WINDOW, low: 2, high: 2, at: 1_700_000_001 }] },
  ]);
});

it('are written and read as they are pinned here: how far the journal was durable', () => {
  const id = new Uint8Array(16).fill(0x11);
  const reach = { writes: 7, point: { number: 1, id, offset: 1536, sequence: 2n } };
  const sector = encodeReach(reach, TIME_MS);
  expect(dump(sector)).toBe(
    rowsOf(`
      0000 54414c4c595243480100000000000000
      0032 7b68e5cf8b0100000700000000000000
      0048 00000000000000000100000000000000
      0064 11111111111111111111111111111111
      0080 00060000000000000200000000000000
      0496 000000000000000000000000130eaafe
      0512
    `),
  );
  expect(decodeReach('journal.reach', sector)).toEqual(reach);
});

it('has a version, and a newer one is not guessed at', async () => {
  const disk = await diskWith('journal-00000001.log');
  const bytes = disk.content('journal-00000001.log');
  bytes[8] = 2;
  new DataView(bytes.buffer).setUint32(508, crc32(bytes.subarray(0, 508)), true);
  await (await disk.open('journal-00000001.log', 'write')).write(bytes, 0);
  const opening = Journal.open({ disk, host: host(), replay: new Recorder() });
  await expect(opening).rejects.toThrow('journal-00000001.log, offset 8: format version 2 is not 1; start the version');
});
