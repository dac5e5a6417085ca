/**
 * The journal: the durable log of groups, as segment files in one directory.
 *
 * Invariants:
 * - Operations on the current segment run one after another (`#inTurn`): a rotation for a snapshot never runs beside a
 *   write. Syncs run beside writes; a rotation waits for a running sync, so that a failed sync never concerns a segment
 *   that has been left.
 * - Only the current segment has bytes that may not be durable; the previous one was synced when it was left, or is
 *   valid only up to its durable part.
 * - Segment numbers only grow, even over failed attempts, so the newest file is always the end of the chain.
 * - Once a second, and before a segment is left, the files that a start needs are checked. If one is missing the
 *   journal has failed, and only a snapshot of the whole table can replace it.
 * - After a failure nothing is written until `replace` has succeeded, and then elsewhere. Until then the failed segment
 *   is the end of the journal, with all whole frames in it: an update that was acknowledged after its write is never
 *   lost.
 * - Only a disk error is a failure; any other error is a program fault and is rethrown unchanged.
 */
import type { Clock, Disk, Host, Random } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { within } from './deadline.ts';
import { FileLost, JournalFailure } from './errors.ts';
import { FILE_HEADER_BYTES, ID_BYTES, parseFileName } from './format.ts';
import type { GroupBuffer } from './group.ts';
import type { Continuation, Reach, SegmentHeader } from './header.ts';
import { makeReach, ReachFile, reachNotice } from './reach.ts';
import { type Recovered, recover, repairTail } from './recovery.ts';
import type { Replay } from './replay.ts';
import { Segment, type SegmentSite } from './segment.ts';
import { type SnapshotSource, writeSnapshot } from './snapshot.ts';

const SEGMENT_BYTES_MAX = 256 * 1024 * 1024;
const WRITE_DEADLINE_MS = 30_000;

export interface JournalOptions {
  readonly disk: Disk;
  readonly host: Host;
  readonly replay: Replay;
  /** A longer segment is left for a new one; its last group may exceed this. */
  readonly segmentBytesMax?: number | undefined;
  /** The deadline of a disk operation; beyond it the operation counts as failed. */
  readonly writeDeadlineMs?: number | undefined;
  /** How far segments are allocated ahead of small groups. Default: not at all. */
  readonly allocateBytes?: number | undefined;
  /** The journal has failed between two operations because its directory was taken away. */
  readonly onFailure?: ((failure: JournalFailure) => void) | undefined;
  /**
   * The whole table, for a snapshot after files were lost; nothing is written meanwhile. Without it such a failure is
   * permanent.
   */
  readonly table?: (() => SnapshotSource) | undefined;
  /** Called for damage that a start tolerates. */
  readonly onDamaged?: ((what: string) => void) | undefined;
}

export class Journal {
  readonly #site: SegmentSite;
  readonly #random: Random;
  readonly #segmentBytesMax: number;
  readonly #reach: ReachFile;
  #segment: Segment;
  #nextNumber: number;
  #failure: JournalFailure | undefined;
  /** A file that the next start needs is lost. */
  #isBroken = false;
  /** The files that the next start needs, by name; replaced when it changes. */
  #needed: readonly string[];
  readonly #table: (() => SnapshotSource) | undefined;
  #isClosed = false;
  #isSnapshotting = false;
  #bytesSinceSnapshot: number;
  #snapshotBytes: number;
  /** The end of the last operation in the queue. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(site: SegmentSite, options: JournalOptions, segment: Segment, found: Recovered, reach: Reach) {
    this.#site = site;
    this.#random = options.host.random;
    this.#segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
    this.#segment = segment;
    this.#nextNumber = segment.header.number + 1;
    this.#bytesSinceSnapshot = found.bytes;
    this.#snapshotBytes = found.snapshotBytes;
    this.#table = options.table;
    this.#needed = [...found.used.filter((name) => !found.obsolete.includes(name)), segment.name];
    this.#reach = new ReachFile(site, reach, {
      durablePoint: () => this.#segment.durablePoint,
      requireFiles: () => this.#requireFiles(),
      onLost: (failure) => {
        if (failure instanceof FileLost) this.#isBroken = true;
        if (this.#failure !== undefined || this.#isClosed) return;
        this.#failure = failure;
        options.onFailure?.(failure);
      },
    });
  }

  /**
   * Recovers everything into `replay`, truncates a torn tail, and opens a new segment that continues from there.
   * @throws DamageError, UnsupportedFormatError: nothing was changed; JournalFailure, the disk's errors
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const { disk, host, replay } = options;
    const { writeDeadlineMs = WRITE_DEADLINE_MS, allocateBytes = 0 } = options;
    const site = { disk, clock: host.clock, writeDeadlineMs, allocateBytes };
    const found = await recover(disk, replay);
    if (found.tail !== undefined) await repairTail(disk, found.tail);
    if (found.reach?.badSector !== undefined) options.onDamaged?.(reachNotice(found.reach.badSector));
    const reach = found.reach ?? (await makeReach(site));
    const segment = await Segment.create(site, newHeader(site.clock, host.random, found.nextNumber, found.continues));
    assert(segment.sequence === found.sequence, 'a new segment goes on where recovery ended');
    await remove(site, found.obsolete);
    return new Journal(site, options, segment, found, reach);
  }

  /** The last group written, or recovered. */
  get sequence(): bigint {
    return this.#segment.sequence;
  }

  /** The last group that is durable. */
  get durableSequence(): bigint {
    return this.#segment.durableSequence;
  }

  /** Why nothing can be written until `replace` has succeeded. */
  get failure(): JournalFailure | undefined {
    return this.#failure;
  }

  /** Whether a frame (an empty group) should follow that marks the last one as durable. */
  get needsMark(): boolean {
    return this.#failure === undefined && this.#segment.needsMark;
  }

  /** Length of the frames that a start would replay on top of the snapshot, about. */
  get bytesSinceSnapshot(): number {
    return this.#bytesSinceSnapshot;
  }

  /** Length of the last snapshot; 0 when there is none. */
  get snapshotBytes(): number {
    return this.#snapshotBytes;
  }

  /**
   * Appends groups as frames. Resolves when the write calls have returned: not yet durable.
   * @throws JournalFailure: it is unknown which of the groups would survive a crash; call `replace` next.
   */
  write(groups: readonly GroupBuffer[]): Promise<void> {
    return this.#inTurn(async () => {
      for (const group of groups) {
        if (this.#segment.offset >= this.#segmentBytesMax) await this.#rotate();
        const { offset } = this.#segment;
        await this.#segment.append(group);
        this.#bytesSinceSnapshot += this.#segment.offset - offset;
      }
    });
  }

  /**
   * Resolves when everything is durable that was written before the call.
   * @throws JournalFailure: anything that was not durable before may be lost; call `replace` next.
   */
  async sync(): Promise<void> {
    if (this.#isClosed) throw closed();
    if (this.#failure !== undefined) throw this.#failure;
    const segment = this.#segment;
    try {
      await segment.sync();
    } catch (error) {
      // After a replacement the failed segment is no longer part of the journal.
      if (segment === this.#segment && error instanceof JournalFailure) this.#failure ??= error;
      throw error;
    }
  }

  /**
   * After a failure: leaves the segment for another one that continues after the last durable group and begins with a
   * group that restates everything touched since. Both become durable, or neither. Call again if it fails.
   * @param restate makes the group for the given number, which may have been used before the failure.
   * @throws JournalFailure
   */
  replace(restate: (sequence: bigint) => GroupBuffer): Promise<void> {
    return this.#inTurn(async () => {
      assert(this.#failure !== undefined, 'only a journal that has failed is replaced');
      const left = this.#segment;
      await this.#reach.check();
      const header = this.#nextHeader(left.durablePoint);
      this.#segment = await Segment.create(this.#site, header, restate(header.firstSequence));
      this.#needed = [...this.#needed, this.#segment.name];
      left.abandon();
      this.#bytesSinceSnapshot += this.#segment.offset - FILE_HEADER_BYTES;
      if (this.#isBroken) await this.#restateAll(this.#failure);
      this.#failure = undefined;
    }, true);
  }

  /** Makes the new current segment and a snapshot everything that a start needs. @throws JournalFailure */
  async #restateAll(failure: JournalFailure): Promise<void> {
    if (this.#table === undefined) throw failure;
    const { number, firstSequence } = this.#segment.header;
    const { sequence } = this.#segment;
    const { file, bytes } = await writeSnapshot(this.#site, this.#random, {
      source: this.#table(),
      beginSequence: firstSequence - 1n,
      currentSequence: () => sequence,
      durableThrough: async () => undefined,
      isCancelled: () => this.#isClosed,
    });
    this.#isBroken = false;
    this.#needed = [file, this.#segment.name];
    this.#bytesSinceSnapshot = this.#segment.offset - FILE_HEADER_BYTES;
    this.#snapshotBytes = bytes;
    await Promise.allSettled([this.#removeBefore(number, firstSequence - 1n)]);
  }

  /**
   * Writes a snapshot beside running traffic, and removes the files that it replaces. If it fails, the journal
   * continues, unless `failure` is set, and the files are as before.
   * @param currentSequence the newest group that updates have gone into, the gathering one included.
   * @param durableThrough resolves when the journal is durable through a group.
   * @returns the sequence number of the last group that it covers whole.
   */
  async snapshot(
    source: SnapshotSource,
    currentSequence: () => bigint,
    durableThrough: (sequence: bigint) => Promise<void>,
  ): Promise<{ file: string; bytes: number; sequence: bigint }> {
    assert(!this.#isSnapshotting, 'there is one snapshot at a time');
    this.#isSnapshotting = true;
    try {
      // Everything written so far is in the table, and the rotation makes it durable.
      const { header, bytesBefore } = await this.#inTurn(async () => {
        await this.#rotate();
        return { header: this.#segment.header, bytesBefore: this.#bytesSinceSnapshot };
      });
      const beginSequence = header.firstSequence - 1n;
      const isCancelled = () => this.#isClosed;
      const request = { source, beginSequence, currentSequence, durableThrough, isCancelled };
      const { file, bytes } = await writeSnapshot(this.#site, this.#random, request);
      this.#bytesSinceSnapshot -= bytesBefore;
      this.#snapshotBytes = bytes;
      this.#needed = [file, ...this.#needed.filter((name) => isSegmentFrom(header.number, name))];
      await Promise.allSettled([this.#removeBefore(header.number, beginSequence)]);
      return { file, bytes, sequence: beginSequence };
    } finally {
      this.#isSnapshotting = false;
    }
  }

  /** Closes the segment without a sync; sync before if it must be durable. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turn;
    await this.#reach.close();
    await this.#segment.close();
  }

  /** Runs `work` after the previous operations. A failure persists until a replacement has succeeded. */
  #inTurn<T>(work: () => Promise<T>, isReplacement = false): Promise<T> {
    const run = async () => {
      if (this.#isClosed) throw closed();
      if (this.#failure !== undefined && !isReplacement) throw this.#failure;
      try {
        return await work();
      } catch (error) {
        if (error instanceof JournalFailure) this.#failure = error;
        if (error instanceof FileLost) this.#isBroken = true;
        throw error;
      }
    };
    const result = this.#turn.then(run);
    this.#turn = Promise.allSettled([result]);
    return result;
  }

  /** Leaves the current segment, all of it durable, for a new one. */
  async #rotate(): Promise<void> {
    const left = this.#segment;
    await left.sync();
    await this.#reach.check();
    await this.#requireFiles();
    this.#segment = await Segment.create(this.#site, this.#nextHeader(left.durablePoint));
    this.#needed = [...this.#needed, this.#segment.name];
    left.leave();
  }

  /** @throws FileLost; JournalFailure if the disk does not answer */
  async #requireFiles(): Promise<void> {
    const [segment, needed] = [this.#segment, this.#needed];
    const { clock, disk, writeDeadlineMs } = this.#site;
    const names = new Set(await within(clock, writeDeadlineMs, 'listing the directory', disk.list()));
    const missing = needed.find((name) => !names.has(name));
    // The needed files may have changed meanwhile; then the next check decides.
    if (missing !== undefined && needed === this.#needed) throw new FileLost(missing);
    await segment.requireThere().catch((error: unknown) => {
      if (segment === this.#segment) throw error;
    });
  }

  /** Every attempt uses a new number. */
  #nextHeader(continues: Continuation | undefined): SegmentHeader {
    return newHeader(this.#site.clock, this.#random, this.#nextNumber++, continues);
  }

  /** Removes segments and snapshots that a start no longer needs. */
  async #removeBefore(number: number, sequence: bigint): Promise<void> {
    const { clock, disk, writeDeadlineMs } = this.#site;
    const names = await within(clock, writeDeadlineMs, 'listing the directory', disk.list());
    const old = names.filter((name) => {
      const file = parseFileName(name);
      if (file?.kind === 'segment') return file.number < number;
      // A snapshot's temporary file is left from a failed attempt: the current one already has its name.
      return file?.kind === 'snapshot' ? file.sequence < sequence : file?.kind === 'temporary' && file.number === 0;
    });
    await remove(this.#site, old);
  }
}

function isSegmentFrom(number: number, name: string): boolean {
  const file = parseFileName(name);
  return file?.kind === 'segment' && file.number >= number;
}

/** An operation that was still queued. */
function closed(): JournalFailure {
  return new JournalFailure('the journal is closed');
}

/** A file that cannot be removed is harmless; the next start or snapshot removes it. */
async function remove({ clock, disk, writeDeadlineMs }: SegmentSite, names: readonly string[]): Promise<void> {
  await Promise.allSettled(names.map((name) => within(clock, writeDeadlineMs, `removing ${name}`, disk.unlink(name))));
}

function newHeader(clock: Clock, random: Random, number: number, continues: Continuation | undefined): SegmentHeader {
  const firstSequence = (continues?.sequence ?? 0n) + 1n;
  return { id: random.bytes(ID_BYTES), createdMs: clock.nowMs(), number, firstSequence, continues };
}
