import { describe, expect, it } from 'vitest';
import { fc } from '../../test/property.ts';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { type ModelEntry, type ModelKey, put, Recorder } from '../../test/simulation/journal-model.ts';
import { GROUP_BYTES_MAX, GROUP_ENTRY_BYTES_MAX } from '../counter/limits.ts';
import type { DiskFile } from '../host/host.ts';
import { replayFrame } from './decode.ts';
import { FORGOTTEN, putForgotten } from './entries/forgotten.ts';
import { HORIZON } from './entries/horizon.ts';
import type { IdempotencyRecord } from './entries/idempotency.ts';
import { putIdempotency } from './entries/idempotency.ts';
import { IMPORT_ID } from './entries/import-id.ts';
import { putValue } from './entries/value.ts';
import { DamageError, UnsupportedFormatError } from './errors.ts';
import { FILE_HEADER_BYTES, Frame, SECTOR_BYTES } from './format.ts';
import { FrameReader, Window } from './frame.ts';
import { frameChecksum, GroupBuffer } from './group.ts';
import type { Replay } from './replay.ts';

const ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const PLACE = { file: 'journal-00000001.log', offset: FILE_HEADER_BYTES };

const milliseconds = fc.maxSafeNat();
const key: fc.Arbitrary<ModelKey> = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 255 }).map((bytes) => ({ kind: 0, bytes: latin1(bytes) })),
  fc.uint8Array({ minLength: 9, maxLength: 263 }).map((bytes) => ({ kind: 1, bytes: latin1(bytes) })),
);
const digits = (count: number) =>
  fc.string({ minLength: count, maxLength: count, unit: fc.constantFrom(...'0123456789abcdef') });
const entry: fc.Arbitrary<ModelEntry> = fc.oneof(
  fc.record({
    entry: fc.constant('value' as const),
    key,
    low: fc.integer(),
    high: fc.integer(),
    at: fc.nat({ max: 2 ** 32 - 1 }),
  }),
  fc.record({ entry: fc.constant('deadline' as const), key, ms: milliseconds }),
  fc.record({ entry: fc.constant('delete' as const), key }),
  fc.record({ entry: fc.constant('forgotten' as const), from: milliseconds, through: milliseconds }),
  fc.record({
    entry: fc.constant('import' as const),
    digest: digits(32),
    content: digits(16),
    ms: milliseconds,
  }),
  fc.record({
    entry: fc.constant('idempotency' as const),
    key: fc.string({ minLength: 1, maxLength: 255, unit: 'grapheme-ascii' }),
    answer: fc.string({ maxLength: 200, unit: 'grapheme-ascii' }),
    ms: milliseconds,
  }),
);

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

async function fileWith(parts: readonly Uint8Array[]): Promise<DiskFile> {
  const file = await new SimulatedDisk({ seed: 1 }).open('file', 'create');
  let at = FILE_HEADER_BYTES;
  for (const part of parts) {
    await file.write(part, at);
    at += part.length;
  }
  return file;
}

/** Reads the frame behind the header. */
async function readBack(parts: readonly Uint8Array[], replay: Replay): Promise<FrameReader> {
  const file = await fileWith(parts);
  const reader = new FrameReader(file, ID, await file.size(), new Window());
  await reader.load(FILE_HEADER_BYTES);
  expect(reader.check(FILE_HEADER_BYTES), reader.reason).toBe(true);
  replay.group(reader.sequence, reader.timeMs);
  replayFrame(reader, PLACE, replay);
  return reader;
}

function sealed(group: GroupBuffer): Uint8Array[] {
  return group.seal(ID, FILE_HEADER_BYTES, FILE_HEADER_BYTES);
}

/** A frame with one value entry, as one array, to be changed; `restamp` gives it a valid checksum again. */
function oneValue(): { bytes: Uint8Array; view: DataView } {
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, 1);
  put(group, { entry: 'value', key: { kind: 0, bytes: 'abc' }, low: 1, high: 0, at: 2 });
  const bytes = Uint8Array.from(Buffer.concat(sealed(group)));
  return { bytes, view: new DataView(bytes.buffer) };
}

function restamp(bytes: Uint8Array): Uint8Array[] {
  new DataView(bytes.buffer).setUint32(Frame.crc, frameChecksum([bytes]), true);
  return [bytes];
}

it('gives every entry back as it was put, in order, also from a buffer that was used before', async () => {
  const group = new GroupBuffer();
  let sequence = 0n;
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 40 }), milliseconds, async (entries, timeMs) => {
      group.begin();
      group.stamp(++sequence, timeMs);
      for (const one of entries) put(group, one);
      expect(group.entries).toBe(entries.length);
      const replay = new Recorder();
      const reader = await readBack(sealed(group), replay);
      expect(replay.groups).toEqual([{ sequence, entries }]);
      expect(reader).toMatchObject({ sequence, timeMs, durableOffset: FILE_HEADER_BYTES, entries: entries.length });
    }),
  );
});

it('sums up a large one a few pieces at a time, and is the same then', async () => {
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, 1);
  const outcomes = new Uint8Array(500_000).fill(7);
  const record: IdempotencyRecord = { scope: 'request', key: 'k', fingerprint: '', appliedAtMs: 1, outcomes };
  for (let i = 0; i < 40; i++) putIdempotency(group, record);
  const whole = Buffer.concat(sealed(group));
  let turns = 0;
  const parts = await group.sealInTurns(ID, FILE_HEADER_BYTES, FILE_HEADER_BYTES, async () => {
    turns++;
  });
  expect(Buffer.concat(parts).equals(whole)).toBe(true);
  expect(turns).toBe(Math.ceil(group.pieces / 8) - 1);
});

it('gives an idempotency record back with everything in it', async () => {
  const records: IdempotencyRecord[] = [
    { scope: 'import', key: '~', fingerprint: '', appliedAtMs: 0, outcomes: new Uint8Array() },
    {
      scope: 'request',
      key: ' '.repeat(255),
      fingerprint: '0f'.repeat(32),
      appliedAtMs: Number.MAX_SAFE_INTEGER,
      outcomes: Uint8Array.from({ length: 16_384 * 18 }, (_, i) => i),
    },
  ];
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, 1);
  for (const record of records) putIdempotency(group, record);
  const found: IdempotencyRecord[] = [];
  const replay = new Recorder();
  replay.idempotency = (record) => found.push(record);
  await readBack(sealed(group), replay);
  expect(found).toEqual(records);
});

it('grows piece by piece, and a frame of many pieces is one frame', async () => {
  const group = new GroupBuffer();
  for (const count of [20_000, 3, 50_000]) {
    group.begin();
    group.stamp(1n, 1);
    const entries = Array.from({ length: count }, (_, i): ModelEntry => {
      const name = `${i}`.padEnd(1 + (i % 255), 'n').slice(0, 255);
      return { entry: 'value', key: { kind: 0, bytes: name }, low: i, high: ~i, at: i };
    });
    for (const one of entries) put(group, one);
    const parts = sealed(group);
    expect(parts.length > 1).toBe(count > 3);
    const replay = new Recorder();
    await readBack(parts, replay);
    expect(replay.groups[0]?.entries).toEqual(entries);
  }
});

it('fills whole sectors, and shows nothing of an earlier group in them', () => {
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, 1);
  for (let i = 0; i < 100; i++) put(group, { entry: 'delete', key: { kind: 0, bytes: 'secret'.repeat(20) } });
  sealed(group);
  group.begin();
  group.stamp(2n, 1);
  put(group, { entry: 'delete', key: { kind: 0, bytes: 'a' } });
  const bytes = Buffer.concat(sealed(group));
  expect(bytes.length).toBe(SECTOR_BYTES);
  const keyAt = Frame.payload + 8;
  expect(bytes.toString('latin1', keyAt)).toBe(`a${'\0'.repeat(SECTOR_BYTES - keyAt - 1)}`);
});

it('refuses what no reader could tell again', () => {
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, 1);
  const bytes = new Int32Array(150);
  const record = { scope: 'request', key: 'k', fingerprint: '', appliedAtMs: 1, outcomes: new Uint8Array() } as const;
  expect(() => putValue(group, 0, 0, 0, 0, 0, bytes, 0)).toThrow('broken invariant');
  expect(() => putValue(group, 0, 0, 0, 0, 256, bytes, 0)).toThrow('broken invariant');
  expect(() => putValue(group, 0, 0, 0, 3, 1, bytes, 0)).toThrow('broken invariant');
  expect(() => putForgotten(group, 0, 2 ** 53)).toThrow('broken invariant');
  expect(() => putForgotten(group, 1.5, 2)).toThrow('broken invariant');
  expect(() => putIdempotency(group, { ...record, key: '' })).toThrow('broken invariant');
  expect(() => putIdempotency(group, { ...record, key: 'ä' })).toThrow('broken invariant');
  expect(() => putIdempotency(group, { ...record, fingerprint: 'AB' })).toThrow('broken invariant');
  expect(() => group.stamp(0n, 1)).toThrow('broken invariant');
  const outcomes = new Uint8Array(GROUP_ENTRY_BYTES_MAX);
  expect(() => putIdempotency(group, { ...record, outcomes })).toThrow('broken invariant');
});

it('refuses a frame that is longer than recovery reads', () => {
  const group = new GroupBuffer();
  group.begin();
  group.stamp(1n, 1);
  const outcomes = new Uint8Array(GROUP_ENTRY_BYTES_MAX - 1024);
  const record = { scope: 'request', key: 'k', fingerprint: '', appliedAtMs: 1, outcomes } as const;
  while (group.bytes <= GROUP_BYTES_MAX) putIdempotency(group, record);
  expect(() => sealed(group)).toThrow('broken invariant');
});

describe('an entry of a type that this version does not know', () => {
  const UNKNOWN = 99;

  function withType(type: number, mustUnderstand: boolean): Uint8Array[] {
    const { bytes, view } = oneValue();
    view.setUint8(Frame.payload + 3, type | (mustUnderstand ? 0x80 : 0));
    return restamp(bytes);
  }

  it('stops the start when it must be understood', async () => {
    const reading = readBack(withType(UNKNOWN, true), new Recorder());
    await expect(reading).rejects.toThrow(UnsupportedFormatError);
    await expect(reading).rejects.toThrow(
      `journal-00000001.log, offset ${FILE_HEADER_BYTES + Frame.payload}: entries of type 99 are not known here; start the version`,
    );
  });

  it('is skipped otherwise', async () => {
    const replay = new Recorder();
    await readBack(withType(UNKNOWN, false), replay);
    expect(replay.groups).toEqual([{ sequence: 1n, entries: [] }]);
  });

  it('so is a record of an unknown kind refused as written by a newer version', async () => {
    const { bytes, view } = oneValue();
    view.setUint8(Frame.payload + 4 + 12, 77);
    await expect(readBack(restamp(bytes), new Recorder())).rejects.toThrow(UnsupportedFormatError);
  });
});

describe('a frame with a valid checksum that cannot have been written so', () => {
  it.each([
    ['an entry that leads beyond the frame', Frame.payload, 200],
    ['a name that is shorter than its entry', Frame.payload + 4 + 13, 2],
    ['a name of no bytes', Frame.payload + 4 + 13, 0],
    ['a horizon of another length', Frame.payload + 3, 0x80 | HORIZON.number],
    ['births that are forgotten, of another length', Frame.payload + 3, 0x80 | FORGOTTEN.number],
    ['the id of an import, of another length', Frame.payload + 3, 0x80 | IMPORT_ID.number],
    ['another number of entries', Frame.entries, 2],
  ])('is refused as damage: %s', async (_, at, byte) => {
    const { bytes, view } = oneValue();
    view.setUint8(at, byte);
    await expect(readBack(restamp(bytes), new Recorder())).rejects.toThrow(DamageError);
  });
});
