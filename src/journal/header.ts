/**
 * The first sector of a file: what it is, its random id, and where it stands in the journal. It is durable
 * before the file gets its final name, so a file under that name without a valid header is damaged.
 */
import { crc32 } from 'node:zlib';
import type { DiskFile } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { DamageError, UnsupportedFormatError } from './errors.ts';
import { FILE_HEADER_BYTES, FORMAT_VERSION, ID_BYTES } from './format.ts';

/** TALLYJRN and TALLYSNP, as bytes in this order. */
const SEGMENT_MAGIC = 0x4e524a594c4c4154n;
const SNAPSHOT_MAGIC = 0x504e53594c4c4154n;

const At = {
  magic: 0,
  version: 8,
  id: 16,
  createdMs: 32,
  number: 40,
  firstSequence: 48,
  previousNumber: 56,
  previousId: 64,
  previousOffset: 80,
  previousSequence: 88,
  beginSequence: 40,
  crc: FILE_HEADER_BYTES - 4,
} as const;

/** The point of an earlier segment behind which another goes on; what lies behind it there does not count. */
export interface Continuation {
  readonly number: number;
  readonly id: Uint8Array;
  readonly offset: number;
  /** The last group before the point. */
  readonly sequence: bigint;
}

export interface SegmentHeader {
  readonly id: Uint8Array;
  readonly createdMs: number;
  /** Grows from segment to segment and is part of the file's name. */
  readonly number: number;
  readonly firstSequence: bigint;
  /** Undefined in the first segment of all. */
  readonly continues: Continuation | undefined;
}

export interface SnapshotHeader {
  readonly id: Uint8Array;
  readonly createdMs: number;
  /** The last group that the snapshot covers whole. */
  readonly beginSequence: bigint;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const { continues } = header;
  assert(header.firstSequence === (continues?.sequence ?? 0n) + 1n, 'a segment goes on where it says it continues');
  const view = start(SEGMENT_MAGIC, header.id, header.createdMs);
  view.setBigUint64(At.number, BigInt(header.number), true);
  view.setBigUint64(At.firstSequence, header.firstSequence, true);
  if (continues !== undefined) {
    view.setBigUint64(At.previousNumber, BigInt(continues.number), true);
    new Uint8Array(view.buffer).set(continues.id, At.previousId);
    view.setBigUint64(At.previousOffset, BigInt(continues.offset), true);
    view.setBigUint64(At.previousSequence, continues.sequence, true);
  }
  return finish(view);
}

export function encodeSnapshotHeader(header: SnapshotHeader): Uint8Array {
  const view = start(SNAPSHOT_MAGIC, header.id, header.createdMs);
  view.setBigUint64(At.beginSequence, header.beginSequence, true);
  return finish(view);
}

/** @throws DamageError, UnsupportedFormatError */
export async function readSegmentHeader(file: DiskFile, name: string, number: number): Promise<SegmentHeader> {
  const view = await readHeader(file, name, SEGMENT_MAGIC);
  const previousNumber = readOffset(view, At.previousNumber);
  const continues =
    previousNumber === 0
      ? undefined
      : {
          number: previousNumber,
          id: readId(view, At.previousId),
          offset: readOffset(view, At.previousOffset),
          sequence: view.getBigUint64(At.previousSequence, true),
        };
  const header = {
    id: readId(view, At.id),
    createdMs: readOffset(view, At.createdMs),
    number: readOffset(view, At.number),
    firstSequence: view.getBigUint64(At.firstSequence, true),
    continues,
  };
  if (header.number !== number) throw new DamageError(name, At.number, `it is segment ${header.number} by its header`);
  if (previousNumber >= number) throw new DamageError(name, At.previousNumber, 'it continues a later segment');
  if (header.firstSequence !== (continues?.sequence ?? 0n) + 1n) {
    throw new DamageError(name, At.firstSequence, 'its first group does not follow the one that it continues');
  }
  return header;
}

/** @throws DamageError, UnsupportedFormatError */
export async function readSnapshotHeader(file: DiskFile, name: string, sequence: bigint): Promise<SnapshotHeader> {
  const view = await readHeader(file, name, SNAPSHOT_MAGIC);
  const beginSequence = view.getBigUint64(At.beginSequence, true);
  if (beginSequence !== sequence) {
    throw new DamageError(name, At.beginSequence, `it covers group ${beginSequence} by its header`);
  }
  return { id: readId(view, At.id), createdMs: readOffset(view, At.createdMs), beginSequence };
}

function start(magic: bigint, id: Uint8Array, createdMs: number): DataView {
  assert(id.length === ID_BYTES, 'a file id has 16 bytes');
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(At.magic, magic, true);
  view.setUint32(At.version, FORMAT_VERSION, true);
  bytes.set(id, At.id);
  view.setBigUint64(At.createdMs, BigInt(createdMs), true);
  return view;
}

function finish(view: DataView): Uint8Array {
  const bytes = new Uint8Array(view.buffer);
  view.setUint32(At.crc, crc32(bytes.subarray(0, At.crc)), true);
  return bytes;
}

async function readHeader(file: DiskFile, name: string, magic: bigint): Promise<DataView> {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const length = await file.read(bytes, 0);
  if (length < FILE_HEADER_BYTES) throw new DamageError(name, length, 'it ends within its header');
  const view = new DataView(bytes.buffer);
  if (view.getBigUint64(At.magic, true) !== magic)
    throw new DamageError(name, At.magic, 'it does not begin as it must');
  if (view.getUint32(At.crc, true) !== crc32(bytes.subarray(0, At.crc))) {
    throw new DamageError(name, At.magic, 'the checksum of its header is wrong');
  }
  const version = view.getUint32(At.version, true);
  if (version !== FORMAT_VERSION) {
    throw new UnsupportedFormatError(name, At.version, `format version ${version} is not ${FORMAT_VERSION}`);
  }
  return view;
}

function readId(view: DataView, at: number): Uint8Array {
  return new Uint8Array(view.buffer.slice(at, at + ID_BYTES));
}

/** A length, number or time: always below 2^53, or the writer was wrong. */
function readOffset(view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  assert(Number.isSafeInteger(value), 'a checked header holds numbers below 2^53');
  return value;
}
