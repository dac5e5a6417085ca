/**
 * Verification: reads every byte of every file, changes nothing, and reports what is whole, what is damaged, and
 * whether a start would succeed. It makes two passes: each file by itself, even those that a start would not read; then
 * recovery as a start does it, without the repair.
 */
import type { Disk } from '../host/host.ts';
import { replayFrame } from './decode.ts';
import { DamageError, UnsupportedFormatError } from './errors.ts';
import { FILE_HEADER_BYTES, type FileName, parseFileName, SECTOR_BYTES } from './format.ts';
import { FrameReader, Window } from './frame.ts';
import { readSegmentHeader } from './header.ts';
import { REACH_FILE, reachNotice, readReach } from './reach.ts';
import { recover } from './recovery.ts';
import type { Replay } from './replay.ts';
import { loadSnapshot, NOTHING } from './snapshot-reader.ts';

export interface VerifyReport {
  /** All files of the journal in the directory, segments first, by name. */
  readonly files: readonly FileReport[];
  /** The small files beside the journal. */
  readonly others: readonly OtherReport[];
  readonly wouldStart: boolean;
  /** Why a start would be refused. */
  readonly refusal: string | undefined;
  /** The last group that a start would recover; undefined when it would be refused. */
  readonly sequence: bigint | undefined;
  /** Bytes of a torn write at the end of the last segment, which a start would cut off. */
  readonly tornBytes: number;
}

export interface FileReport {
  readonly file: string;
  readonly kind: 'segment' | 'snapshot' | 'temporary';
  readonly bytes: number;
  /** Whether a start reads it; other files are left over. Unknown (false) if a start would be refused. */
  readonly isUsed: boolean;
  readonly isWhole: boolean;
  readonly frames: number;
  readonly entries: number;
  /** Of the groups in a segment; of a snapshot its begin and end. Undefined when the header is bad. */
  readonly firstSequence: bigint | undefined;
  readonly lastSequence: bigint | undefined;
  /** The greatest offset that a frame of a segment states to be durable; a snapshot is durable as a whole. */
  readonly durableOffset: number;
  /** What cannot be read. After the durable offset of the last segment this is a torn write, not damage. */
  readonly bad: readonly BadBytes[];
}

export interface OtherReport {
  readonly file: string;
  readonly isWhole: boolean;
  /** What is damaged, in words, with its place. */
  readonly damage: string | undefined;
}

export interface BadBytes {
  readonly offset: number;
  readonly length: number;
  readonly reason: string;
}

/**
 * @param replay receives everything that a start would recover, for instance to count the counters.
 * @throws the disk's errors
 */
export async function verify(disk: Disk, replay: Replay): Promise<VerifyReport> {
  const names = (await disk.list()).map(parseFileName).filter((name) => name !== undefined);
  names.sort((a, b) => (a.name < b.name ? -1 : 1));
  const window = new Window();
  const files: FileReport[] = [];
  for (const name of names) files.push(await verifyFile(disk, name, window));
  const others = await verifyReach(disk);
  try {
    const found = await recover(disk, replay);
    const { tail } = found;
    return {
      files: files.map((file) => ({ ...file, isUsed: found.used.includes(file.file) })),
      others,
      wouldStart: true,
      refusal: undefined,
      sequence: found.sequence,
      tornBytes: tail === undefined ? 0 : tail.tornEnd - tail.wholeOffset,
    };
  } catch (error) {
    return { files, others, wouldStart: false, refusal: damageOf(error), sequence: undefined, tornBytes: 0 };
  }
}

async function verifyReach(disk: Disk): Promise<OtherReport[]> {
  try {
    const reach = await readReach((name) => disk.open(name, 'read'));
    if (reach === undefined) return [];
    const damage = reach.badSector === undefined ? undefined : reachNotice(reach.badSector);
    return [otherReport(REACH_FILE, damage)];
  } catch (error) {
    return [otherReport(REACH_FILE, damageOf(error))];
  }
}

export function otherReport(file: string, damage: string | undefined): OtherReport {
  return { file, isWhole: damage === undefined, damage };
}

/** What is wrong with a file's content, in words. Rethrows other errors. */
export function damageOf(error: unknown): string {
  if (error instanceof DamageError || error instanceof UnsupportedFormatError) return error.message;
  throw error;
}

async function verifyFile(disk: Disk, name: FileName, window: Window): Promise<FileReport> {
  const bytes = await sizeOf(disk, name.name);
  const scan = new Scan(name.name);
  try {
    if (name.kind === 'segment') await scan.segment(disk, name.number, window);
    if (name.kind === 'snapshot') await scan.snapshot(disk, name.sequence, window);
  } catch (error) {
    const { offset, reason } = scan.known(error);
    scan.bad.push({ offset, length: bytes - Math.min(offset, bytes), reason });
  }
  const { frames, entries, firstSequence, lastSequence, durableOffset, bad } = scan;
  const isWhole = bad.length === 0;
  const counts = { frames, entries, firstSequence, lastSequence, durableOffset };
  return { file: name.name, kind: name.kind, bytes, isUsed: false, isWhole, ...counts, bad };
}

async function sizeOf(disk: Disk, name: string): Promise<number> {
  const file = await disk.open(name, 'read');
  try {
    return await file.size();
  } finally {
    await file.close();
  }
}

/** Scans one file; in a segment it continues after bad bytes. */
class Scan {
  readonly bad: BadBytes[] = [];
  frames = 0;
  entries = 0;
  firstSequence: bigint | undefined;
  lastSequence: bigint | undefined;
  durableOffset = 0;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** @throws what is wrong with the snapshot: one bad byte makes it useless. */
  async snapshot(disk: Disk, sequence: bigint, window: Window): Promise<void> {
    const loaded = await loadSnapshot(disk, this.#name, sequence, window, NOTHING);
    this.frames = loaded.frames;
    this.entries = loaded.entries;
    this.firstSequence = loaded.beginSequence;
    this.lastSequence = loaded.endSequence;
    this.durableOffset = loaded.bytes;
  }

  /** @throws what is wrong with the header: without it frames cannot be distinguished from old bytes. */
  async segment(disk: Disk, number: number, window: Window): Promise<void> {
    const file = await disk.open(this.#name, 'read');
    try {
      const { id, firstSequence } = await readSegmentHeader(file, this.#name, number);
      const size = await file.size();
      this.firstSequence = firstSequence;
      this.durableOffset = FILE_HEADER_BYTES;
      await this.#segmentFrames(new FrameReader(file, id, size, window), size, firstSequence);
    } finally {
      await file.close();
    }
  }

  /** Rethrows errors that do not come from the file's content. */
  known(error: unknown): { offset: number; reason: string } {
    if (error instanceof DamageError) return error;
    if (error instanceof UnsupportedFormatError) return { offset: error.offset, reason: error.message };
    throw error;
  }

  async #segmentFrames(reader: FrameReader, size: number, firstSequence: bigint): Promise<void> {
    let expected = firstSequence;
    let badFrom = -1;
    let badTo = -1;
    let reason = '';
    let offset = FILE_HEADER_BYTES;
    while (offset < size) {
      if (!reader.holds(offset)) await reader.load(offset);
      const isWhole = reader.check(offset);
      if (isWhole) {
        // After bad bytes the sequence continues somewhere.
        if (badFrom >= 0) expected = reader.sequence;
        this.#endBad(badFrom, offset, reason);
        badFrom = -1;
        this.#frame(reader, offset, expected);
        expected = reader.sequence + 1n;
      } else if (badFrom < 0) {
        badFrom = offset;
        reason = reader.reason;
      }
      if (!isWhole && !reader.isZero(offset)) badTo = Math.min(offset + SECTOR_BYTES, size);
      offset += isWhole ? reader.paddedLength : SECTOR_BYTES;
    }
    // Zeros at the end are only allocated.
    if (badTo > badFrom) this.#endBad(badFrom, badTo, reason);
  }

  #endBad(from: number, to: number, reason: string): void {
    if (from >= 0) this.bad.push({ offset: from, length: to - from, reason });
  }

  #frame(reader: FrameReader, offset: number, expected: bigint): void {
    this.frames++;
    this.entries += reader.entries;
    this.lastSequence = reader.sequence;
    this.durableOffset = Math.max(this.durableOffset, reader.durableOffset);
    const complain = (reason: string) => this.bad.push({ offset, length: reader.paddedLength, reason });
    if (reader.sequence !== expected) complain(`group ${reader.sequence} stands where ${expected} belongs`);
    try {
      replayFrame(reader, { file: this.#name, offset }, NOTHING);
    } catch (error) {
      complain(this.known(error).reason);
    }
  }
}
