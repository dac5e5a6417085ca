/**
 * The first sector of a file: its type, its random id, and its place in the journal. It is durable before the file gets
 * its final name, so a file under that name without a valid header is damaged. The sectors of `journal.reach`
 * (`reach.ts`) have the same structure.
 */
import { crc32 } from 'node:zlib';
import type { DiskFile } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { DamageError, UnsupportedFormatError } from './errors.ts';
import { FILE_HEADER_BYTES, FORMAT_VERSION, ID_BYTES } from './format.ts';

/** TALLYJRN, TALLYSNP and TALLYRCH, as bytes in this order. */
const SEGMENT_MAGIC = 0x4e524a594c4c4154n;
const SNAPSHOT_MAGIC = 0x504e53594c4c4154n;
const REACH_MAGIC = 0x484352594c4c4154n;

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
  writes: 40,
  crc: FILE_HEADER_BYTES - 4,
} as const;

/** The point in an earlier segment after which another continues; anything after it there is ignored. */
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

/** How far the journal was durable. */
export interface Reach {
  /** Grows with every sector that is written. */
  readonly writes: number;
  /** Undefined: nothing was. */
  readonly point: Continuation | undefined;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const { continues } = header;
  assert(header.firstSequence === (continues?.sequence ?? 0n) + 1n, 'a segment goes on where it says it continues');
  const view = start(SEGMENT_MAGIC, header.id, header.createdMs);
  view.setBigUint64(At.number, BigInt(header.number), true);
  view.setBigUint64(At.firstSequence, header.firstSequence, true);
  putPoint(view, continues);
  return finish(view);
}

export function encodeReach({ writes, point }: Reach, nowMs: number): Uint8Array {
  const view = start(REACH_MAGIC, new Uint8Array(ID_BYTES), nowMs);
  view.setBigUint64(At.writes, BigInt(writes), true);
  putPoint(view, point);
  return finish(view);
}

/** @param sector of the file `name`. @returns undefined when it is not whole. @throws UnsupportedFormatError */
export function decodeReach(name: string, sector: Uint8Array): Reach | undefined {
  try {
    const view = checked(sector, name, REACH_MAGIC);
    return { writes: readOffset(view, At.writes), point: readPoint(view) };
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    return undefined;
  }
}

export function encodeSnapshotHeader(header: SnapshotHeader): Uint8Array {
  const view = start(SNAPSHOT_MAGIC, header.id, header.createdMs);
  view.setBigUint64(At.beginSequence, header.beginSequence, true);
  return finish(view);
}

/** @throws DamageError, UnsupportedFormatError */
export async function readSegmentHeader(file: DiskFile, name: string, number: number): Promise<SegmentHeader> {
  const view = await readHeader(file, name, SEGMENT_MAGIC);
  const continues = readPoint(view);
  const header = {
    id: readId(view, At.id),
    createdMs: readOffset(view, At.createdMs),
    number: readOffset(view, At.number),
    firstSequence: view.getBigUint64(At.firstSequence, true),
    continues,
  };
  if (header.number !== number) throw new DamageError(name, At.number, `it is segment ${header.number} by its header`);
  if (continues !== undefined && continues.number >= number)
    throw new DamageError(name, At.previousNumber, 'it continues a later segment');
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

function putPoint(view: DataView, point: Continuation | undefined): void {
  if (point === undefined) return;
  view.setBigUint64(At.previousNumber, BigInt(point.number), true);
  new Uint8Array(view.buffer).set(point.id, At.previousId);
  view.setBigUint64(At.previousOffset, BigInt(point.offset), true);
  view.setBigUint64(At.previousSequence, point.sequence, true);
}

function readPoint(view: DataView): Continuation | undefined {
  const number = readOffset(view, At.previousNumber);
  if (number === 0) return undefined;
  const sequence = view.getBigUint64(At.previousSequence, true);
  return { number, id: readId(view, At.previousId), offset: readOffset(view, At.previousOffset), sequence };
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
  return checked(bytes, name, magic);
}

function checked(bytes: Uint8Array, name: string, magic: bigint): DataView {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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

/** A length, number or time: always below 2^53, otherwise the writer had a bug. */
function readOffset(view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  assert(Number.isSafeInteger(value), 'a checked header holds numbers below 2^53');
  return value;
}
