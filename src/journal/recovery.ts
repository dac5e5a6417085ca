/**
 * Recovery: the snapshot, then every group after its begin, without gaps, in order. `recover` only reads, so that
 * `verify` can do the same; `repairTail` then makes the last segment's end safe to continue from.
 *
 * - The segments form a chain: each header names the point in the previous one after which it continues. The newest
 *   segment is the end of the chain; segments that no other one continues (failed attempts) are not read. Bytes after
 *   the point are ignored; before it every frame must be whole, because the point was durable.
 * - In the last segment, whole frames before the first bad byte are valid. The rest of the file is searched for a whole
 *   frame that states a durable offset beyond that byte. If there is one, durable bytes are damaged, which no crash
 *   does, and the start is refused.
 */
import type { Disk, DiskFile } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { replayFrame } from './decode.ts';
import { DamageError } from './errors.ts';
import { FILE_HEADER_BYTES, type FileName, parseFileName, SECTOR_BYTES, segmentName } from './format.ts';
import { FrameReader, Window } from './frame.ts';
import { type Continuation, readSegmentHeader, type SegmentHeader } from './header.ts';
import { type FoundReach, REACH_FILE, readReach } from './reach.ts';
import type { Replay } from './replay.ts';
import { chooseSnapshot, type LoadedSnapshot } from './snapshot-reader.ts';

export interface Recovered {
  /** The last valid group; 0 in an empty directory. */
  readonly sequence: bigint;
  /** The point after which the next segment continues. */
  readonly continues: Continuation | undefined;
  /** Larger than that of any file here, temporary ones included. */
  readonly nextNumber: number;
  readonly tail: Tail | undefined;
  /** The files that were read, in order: the snapshot where there is one, then segments. */
  readonly used: readonly string[];
  /** Files that are no longer needed once the next segment exists. */
  readonly obsolete: readonly string[];
  /** Of the frames that were replayed. */
  readonly bytes: number;
  /** Length of the snapshot; 0 when there is none. */
  readonly snapshotBytes: number;
  /** How far the journal was durable, as `journal.reach` says; undefined when there is no such file. */
  readonly reach: FoundReach | undefined;
}

/** The end of the last segment. */
export interface Tail {
  readonly name: string;
  /** Through which a durability mark says that the file is durable. */
  readonly markedOffset: number;
  /** The end of the last valid frame. */
  readonly wholeOffset: number;
  /** The end of the last non-empty sector; from there to `size` the file is only allocated. */
  readonly tornEnd: number;
  readonly size: number;
}

/** A segment that is valid up to `end`. */
interface Link {
  readonly name: string;
  readonly header: SegmentHeader;
  /** The point that the next segment continues; undefined for the last one. */
  readonly end: Continuation | undefined;
}

/**
 * Reads everything valid into `replay`. Changes nothing.
 * @throws DamageError, UnsupportedFormatError, the disk's errors
 */
export async function recover(disk: Disk, replay: Replay): Promise<Recovered> {
  // Read before the others: beside a running process it then claims no more than the files read after it hold.
  const reach = await readReach((name) => disk.open(name, 'read'));
  const names = (await disk.list()).map(parseFileName).filter((name) => name !== undefined);
  const segments = names.filter((name) => name.kind === 'segment').sort((a, b) => b.number - a.number);
  const window = new Window();
  const snapshot = await chooseSnapshot(disk, names, window, replay, async (begin) => {
    await chain(disk, segments, begin);
  });
  if (segments.length === 0 && snapshot !== undefined) {
    throw new DamageError(snapshot.name, 0, 'no journal segment is there to go on from it');
  }
  const begin = snapshot?.beginSequence ?? 0n;
  const links = await chain(disk, segments, begin);
  const walk = new Walk(disk, window, replay, begin);
  for (const link of links) await walk.segment(link);
  window.release();
  requireReach(walk, snapshot);
  requireTail(walk, links, reach?.point);
  const used = [...(snapshot === undefined ? [] : [snapshot.name]), ...links.map((link) => link.name)];
  // A last segment without groups is skipped, so that starts without traffic leave no files.
  const isLastEmpty = walk.tail?.wholeOffset === FILE_HEADER_BYTES;
  const needed = isLastEmpty ? used.slice(0, -1) : used;
  return {
    sequence: walk.sequence,
    continues: continuation(links.at(-1), isLastEmpty, walk),
    nextNumber: 1 + names.reduce((most, name) => (name.kind === 'snapshot' ? most : Math.max(most, name.number)), 0),
    tail: walk.tail,
    used,
    obsolete: names.filter((name) => isObsolete(name, needed, begin)).map((name) => name.name),
    bytes: walk.bytes,
    snapshotBytes: snapshot?.bytes ?? 0,
    reach,
  };
}

/**
 * Makes the last segment safe to continue from. Frames that no mark covers may be only in the operating system's cache
 * and not on the disk. After a failed sync in an earlier process the system may even consider them written. So they are
 * written once more.
 */
export async function repairTail(disk: Disk, tail: Tail): Promise<void> {
  const file = await disk.open(tail.name, 'write');
  try {
    const bytes = new Uint8Array(1024 * 1024);
    for (let at = tail.markedOffset; at < tail.wholeOffset; at += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, tail.wholeOffset - at));
      assert((await file.read(part, at)) === part.length, 'what was whole is still there');
      await file.write(part, at);
    }
    if (tail.size > tail.wholeOffset) await file.truncate(tail.wholeOffset);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The segments with the groups after `begin`, oldest first. */
async function chain(disk: Disk, segments: readonly FileName[], begin: bigint): Promise<Link[]> {
  const links: Link[] = [];
  const newest = segments[0];
  if (newest === undefined || newest.kind !== 'segment') return links;
  const present = new Set(segments.map((segment) => segment.name));
  let number: number | undefined = newest.number;
  let end: Continuation | undefined;
  while (number !== undefined) {
    const name = segmentName(number);
    const above = links[0]?.name;
    if (!present.has(name)) throw new DamageError(name, 0, `it is missing, and ${above} continues it`);
    const header = await readHeaderOf(disk, name, number);
    if (end !== undefined && !isSame(end.id, header.id)) {
      throw new DamageError(name, 0, `it is not the file that ${above} continues`);
    }
    links.unshift({ name, header, end });
    end = header.firstSequence <= begin + 1n ? undefined : header.continues;
    number = end?.number;
  }
  return links;
}

/** The end of the last segment's content; if it is empty, the point that it continues itself. */
function continuation(last: Link | undefined, isEmpty: boolean, walk: Walk): Continuation | undefined {
  if (last === undefined || walk.tail === undefined || isEmpty) return last?.header.continues;
  const { number, id } = last.header;
  return { number, id, offset: walk.tail.wholeOffset, sequence: walk.sequence };
}

function requireReach({ sequence, tail }: Walk, snapshot: LoadedSnapshot | undefined): void {
  if (snapshot === undefined || tail === undefined || sequence >= snapshot.endSequence) return;
  const { name, endSequence } = snapshot;
  const reason = `the journal ends at group ${sequence}, but ${name} was installed when it reached ${endSequence}`;
  throw new DamageError(tail.name, tail.wholeOffset, reason);
}

/** Durable groups must exist: a missing or truncated segment looks like a journal that ended there. */
function requireTail(walk: Walk, links: readonly Link[], point: Continuation | undefined): void {
  if (point === undefined) return;
  const last = links.at(-1);
  const link = links.find(({ header }) => header.number === point.number);
  const reached = link === last ? walk.tail?.wholeOffset : link?.end?.offset;
  const hasSegment = link === undefined ? (last?.header.number ?? 0) > point.number : isSame(link.header.id, point.id);
  const isThere = hasSegment && (reached ?? point.offset) >= point.offset && walk.sequence >= point.sequence;
  if (isThere) return;
  const reason =
    `the journal ends at group ${walk.sequence}, but it was durable through group ${point.sequence} ` +
    `(${segmentName(point.number)}, offset ${point.offset}): its tail is missing. ` +
    `To start without what is missing, and lose it, remove ${REACH_FILE}`;
  throw new DamageError(last?.name ?? segmentName(point.number), walk.tail?.wholeOffset ?? 0, reason);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function isObsolete(name: FileName, needed: readonly string[], begin: bigint): boolean {
  // A damaged newer snapshot is kept for inspection; the next snapshot replaces it.
  return !needed.includes(name.name) && (name.kind !== 'snapshot' || name.sequence < begin);
}

function readHeaderOf(disk: Disk, name: string, number: number): Promise<SegmentHeader> {
  return inFile(disk, name, (file) => readSegmentHeader(file, name, number));
}

async function inFile<T>(disk: Disk, name: string, work: (file: DiskFile) => Promise<T>): Promise<T> {
  const file = await disk.open(name, 'read');
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Reads the segments of a chain in order and feeds the groups after `begin`. */
class Walk {
  readonly #disk: Disk;
  readonly #window: Window;
  readonly #replay: Replay;
  readonly #begin: bigint;
  /** The last group seen; before the first segment, the one before its first. */
  sequence = 0n;
  bytes = 0;
  tail: Tail | undefined;

  constructor(disk: Disk, window: Window, replay: Replay, begin: bigint) {
    this.#disk = disk;
    this.#window = window;
    this.#replay = replay;
    this.#begin = begin;
  }

  async segment(link: Link): Promise<void> {
    const { name, header, end } = link;
    this.sequence = header.firstSequence - 1n;
    await inFile(this.#disk, name, async (file) => {
      const size = await file.size();
      if (end !== undefined && size < end.offset) {
        throw new DamageError(name, size, `the file ends, but it was durable through offset ${end.offset}`);
      }
      const reader = new FrameReader(file, header.id, end?.offset ?? size, this.#window);
      let offset = FILE_HEADER_BYTES;
      let marked = FILE_HEADER_BYTES;
      for (;;) {
        if (!reader.holds(offset)) await reader.load(offset);
        if (!reader.check(offset)) break;
        this.#frame(reader, { file: name, offset });
        marked = Math.max(marked, reader.durableOffset);
        offset += reader.paddedLength;
      }
      if (end !== undefined) this.#requireEnd(name, offset, end, reader.reason);
      else await this.#endOfJournal(reader, name, offset, marked, size);
    });
  }

  #frame(reader: FrameReader, place: { file: string; offset: number }): void {
    const expected = this.sequence + 1n;
    if (reader.sequence !== expected) {
      throw new DamageError(place.file, place.offset, `group ${reader.sequence} stands where ${expected} belongs`);
    }
    this.sequence = expected;
    if (expected <= this.#begin) return;
    this.#replay.group(expected, reader.timeMs);
    if (replayFrame(reader, place, this.#replay) !== undefined) {
      throw new DamageError(place.file, place.offset, 'the end of a snapshot stands in a segment');
    }
    this.bytes += reader.paddedLength;
  }

  /** A segment that another continues must be whole up to that point. */
  #requireEnd(name: string, offset: number, end: Continuation, reason: string): void {
    if (offset < end.offset) throw new DamageError(name, offset, reason);
    if (this.sequence === end.sequence) return;
    throw new DamageError(
      name,
      offset,
      `group ${this.sequence} is its last, but the next segment continues ${end.sequence}`,
    );
  }

  /** Distinguishes a torn tail from damage. */
  async #endOfJournal(reader: FrameReader, name: string, offset: number, marked: number, size: number): Promise<void> {
    const { reason } = reader;
    if (marked > offset) throw new DamageError(name, offset, reason);
    let tornEnd = offset;
    let at = offset;
    while (at < size) {
      if (!reader.holds(at)) await reader.load(at);
      if (!reader.isZero(at)) tornEnd = Math.min(at + SECTOR_BYTES, size);
      const isWhole = reader.check(at);
      if (isWhole && reader.durableOffset > offset) {
        throw new DamageError(name, offset, `${reason}, and a later frame says that it was durable`);
      }
      at += isWhole ? reader.paddedLength : SECTOR_BYTES;
    }
    this.tail = { name, markedOffset: marked, wholeOffset: offset, tornEnd, size };
  }
}
