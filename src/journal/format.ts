/**
 * The numbers and names of the journal's files; `docs/formats.md` describes every byte. All integers are
 * little-endian, and are written and read through typed arrays, which have the machine's order: hence the
 * assertion below. (No machine that Node 22 and later are built for by default is big-endian but s390x.)
 */
import { assert } from '../std/assert.ts';

assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, 'the machine is little-endian');

/** Version of all files; a start refuses a newer one. */
export const FORMAT_VERSION = 1;

/** The unit that a disk writes atomically. Headers and frames start at multiples of it. */
export const SECTOR_BYTES = 512;
export const ID_BYTES = 16;
/** A file begins with one sector of header. */
export const FILE_HEADER_BYTES = SECTOR_BYTES;

/** First bytes of a frame: TLYF. */
export const FRAME_MAGIC = 0x46594c54;
/** Where the parts of a frame's header lie. */
export const Frame = {
  magic: 0,
  /** Header and payload, without the padding. */
  length: 4,
  id: 8,
  sequence: 24,
  timeMs: 32,
  durableOffset: 40,
  /** The frame's own offset: a frame at any other offset is invalid. */
  offset: 48,
  entries: 56,
  /** Over everything else of the frame, padding included. */
  crc: 60,
  payload: 64,
} as const;

/** An entry begins with one word: payload length, type, and whether a reader must understand the type. */
export const ENTRY_LENGTH_MASK = 0xffffff;
export const ENTRY_TYPE_SHIFT = 24;
export const ENTRY_TYPE_MASK = 0x7f;
export const ENTRY_MUST_UNDERSTAND = 0x80000000;

/** The next multiple of a sector. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

/** The suffix of a file that is still being written. */
export const TEMPORARY_SUFFIX = '.new';

export function segmentName(number: number): string {
  return `journal-${String(number).padStart(8, '0')}.log`;
}

/** @param sequence the last group that the snapshot covers whole; 20 digits hold every one. */
export function snapshotName(sequence: bigint): string {
  return `snapshot-${String(sequence).padStart(20, '0')}.snap`;
}

export type FileName =
  | { readonly kind: 'segment'; readonly name: string; readonly number: number }
  | { readonly kind: 'snapshot'; readonly name: string; readonly sequence: bigint }
  | { readonly kind: 'temporary'; readonly name: string; readonly number: number };

/** The kind of a file in the data directory by its name; undefined if it is not ours. */
export function parseFileName(name: string): FileName | undefined {
  const isTemporary = name.endsWith(TEMPORARY_SUFFIX);
  // A snapshot's temporary name has eight random digits before the suffix.
  const stem = isTemporary ? name.slice(0, -TEMPORARY_SUFFIX.length).replace(/(?<=\.snap)\.[0-9a-f]{8}$/, '') : name;
  const digits = /^(?:journal-(\d{8,15})\.log|snapshot-(\d{20})\.snap)$/.exec(stem);
  if (digits === null) return undefined;
  const sequence = digits[2] === undefined ? undefined : BigInt(digits[2]);
  const number = sequence === undefined ? Number(digits[1]) : 0;
  // Each number has exactly one name: a name with more leading zeros is not ours.
  if (sequence === undefined && stem !== segmentName(number)) return undefined;
  if (isTemporary) return { kind: 'temporary', name, number };
  return sequence === undefined ? { kind: 'segment', name, number } : { kind: 'snapshot', name, sequence };
}
