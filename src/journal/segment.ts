/**
 * The segment that is being written.
 *
 * Invariants:
 * - `durableOffset <= offset`: everything before the first is durable, everything between them has been handed to the
 *   operating system. Each frame states the durable offset as of before it (the durability mark).
 * - Before the file gets its name, everything that it needs as the end of the journal is durable: the header, and after
 *   a failure the group that restates what was in doubt. The name is durable before the next group is written.
 * - Syncs run one after another, beside writes. Bytes written during a sync do not count as covered by it.
 * - The file is zeros from the last frame through `#allocated`, except where zeros are still being written: no frame is
 *   written there before they have arrived.
 * - After a failed operation nothing more is written here, and no sync succeeds. (Zeros that do not fit are harmless.)
 */
import type { Clock, Disk, DiskFile } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { within } from './deadline.ts';
import { FileLost } from './errors.ts';
import { FILE_HEADER_BYTES, FRAME_MAGIC, Frame, segmentName, TEMPORARY_SUFFIX, wholeSectors } from './format.ts';
import type { GroupBuffer } from './group.ts';
import { type Continuation, encodeSegmentHeader, type SegmentHeader } from './header.ts';

/** Where and how segments are written. */
export interface SegmentSite {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The deadline of a disk operation; beyond it the operation counts as failed. */
  readonly writeDeadlineMs: number;
  /**
   * While groups are small, this many zeros are written ahead of them; 0: none. A sync of overwritten bytes has no new
   * file size and no new blocks to record, and takes two thirds of the time.
   */
  readonly allocateBytes: number;
}

const SMALL_GROUP_BYTES = 64 * 1024;
/** Longer than groups of ordinary traffic: their checksums take a few milliseconds. */
const LARGE_GROUP_BYTES = 16 * 1024 * 1024;

export class Segment {
  readonly header: SegmentHeader;
  readonly name: string;
  readonly #site: SegmentSite;
  readonly #file: DiskFile;
  #offset = FILE_HEADER_BYTES;
  #durableOffset = FILE_HEADER_BYTES;
  #sequence: bigint;
  #durableSequence: bigint;
  /** Where the last frame begins; undefined if there is none. */
  #lastFrame: number | undefined;
  /** The same, as of the last check of the file. */
  #seenFrame = FILE_HEADER_BYTES;
  /** The end of the last frame that is more than a durability mark. */
  #contentEnd = FILE_HEADER_BYTES;
  /** The file has been written through this. */
  #allocated = FILE_HEADER_BYTES;
  /** Zeros on their way to `[#allocated, #allocated + allocateBytes)`. */
  #allocating: Promise<void> | undefined;
  /** The end of the last sync. */
  #syncing: Promise<void> = Promise.resolve();
  /** The mark in the last frame. */
  #statedOffset = FILE_HEADER_BYTES;

  private constructor(site: SegmentSite, header: SegmentHeader, name: string, file: DiskFile) {
    this.header = header;
    this.name = name;
    this.#site = site;
    this.#file = file;
    this.#sequence = header.firstSequence - 1n;
    this.#durableSequence = this.#sequence;
  }

  /**
   * Creates the file under a temporary name, and renames it only when the header, and `first` if given, are durable.
   * Once it has its name, the segment that it continues is valid only up to the point that the header names.
   * @param first its first group
   * @throws JournalFailure; another attempt takes another number.
   */
  static async create(site: SegmentSite, header: SegmentHeader, first?: GroupBuffer): Promise<Segment> {
    const { clock, disk, writeDeadlineMs } = site;
    const name = segmentName(header.number);
    const temporary = name + TEMPORARY_SUFFIX;
    const step = <T>(what: string, work: Promise<T>, late?: (result: T) => void): Promise<T> =>
      within(clock, writeDeadlineMs, `${what} ${name}`, work, late);
    const file = await step('opening', disk.open(temporary, 'create'), closeQuietly);
    const segment = new Segment(site, header, name, file);
    try {
      await step('opening', file.write(encodeSegmentHeader(header), 0));
      if (first === undefined) await step('opening', file.sync());
      else await segment.append(first).then(() => segment.sync());
      await step('naming', disk.rename(temporary, name));
      await step('naming', disk.syncDirectory());
    } catch (error) {
      // In the background: the original error matters more than whether this succeeds; the next start removes what is
      // left.
      segment.abandon();
      void Promise.allSettled([disk.unlink(temporary)]);
      throw error;
    }
    return segment;
  }

  /** The end of the last frame written. */
  get offset(): number {
    return this.#offset;
  }

  /** The last group written. */
  get sequence(): bigint {
    return this.#sequence;
  }

  get durableSequence(): bigint {
    return this.#durableSequence;
  }

  /** Whether durable groups exist here whose durability no frame states yet. */
  get needsMark(): boolean {
    return this.#contentEnd > this.#statedOffset;
  }

  /** Where the next segment continues: after everything durable. A segment without groups is skipped. */
  get durablePoint(): Continuation | undefined {
    if (this.#durableOffset === FILE_HEADER_BYTES) return this.header.continues;
    const { number, id } = this.header;
    return { number, id, offset: this.#durableOffset, sequence: this.#durableSequence };
  }

  /** Appends one group. */
  async append(group: GroupBuffer): Promise<void> {
    assert(group.sequence === this.#sequence + 1n, 'groups are written gapless, in order');
    const { clock, writeDeadlineMs } = this.#site;
    const stated = this.#durableOffset;
    let offset = this.#offset;
    if (this.#allocating !== undefined && offset + wholeSectors(group.bytes) > this.#allocated) {
      await within(clock, writeDeadlineMs, `allocating ${this.name}`, this.#allocating);
    }
    for (const part of await this.#seal(group, stated)) {
      await within(clock, writeDeadlineMs, `writing ${this.name}`, this.#file.write(part, offset));
      offset += part.length;
    }
    this.#lastFrame = this.#offset;
    this.#offset = offset;
    this.#sequence = group.sequence;
    this.#statedOffset = stated;
    if (group.entries > 0) this.#contentEnd = offset;
    this.#allocated = Math.max(this.#allocated, offset);
    const { allocateBytes } = this.#site;
    if (group.bytes <= SMALL_GROUP_BYTES && this.#allocated - offset < allocateBytes / 2) this.#allocate(allocateBytes);
  }

  #seal(group: GroupBuffer, stated: number): Uint8Array[] | Promise<Uint8Array[]> {
    const { id } = this.header;
    if (group.bytes <= LARGE_GROUP_BYTES) return group.seal(id, this.#offset, stated);
    const { clock } = this.#site;
    return group.sealInTurns(id, this.#offset, stated, () => new Promise((resolve) => clock.soon(resolve)));
  }

  #allocate(bytes: number): void {
    this.#allocating ??= this.#file.write(new Uint8Array(bytes), this.#allocated).then(
      () => {
        this.#allocated += bytes;
        this.#allocating = undefined;
      },
      () => {
        // Frames continue without preallocation: this promise stays, so that it is not retried.
      },
    );
  }

  /** Makes durable what was written before the call. */
  sync(): Promise<void> {
    this.#syncing = this.#syncing.then(() => this.#sync());
    return this.#syncing;
  }

  async #sync(): Promise<void> {
    if (this.#durableOffset === this.#offset) return;
    const offset = this.#offset;
    const sequence = this.#sequence;
    await within(this.#site.clock, this.#site.writeDeadlineMs, `syncing ${this.name}`, this.#file.sync());
    this.#durableOffset = offset;
    this.#durableSequence = sequence;
  }

  /**
   * Checks that the file exists under its name, with its header, its first and last frame, and the frame that was last
   * at the previous check: writes after a truncated part would restore the file's length.
   * @throws FileLost; JournalFailure if the disk does not answer
   */
  async requireThere(): Promise<void> {
    const { clock, writeDeadlineMs } = this.#site;
    const [file, end, last] = [this.#file, this.#offset, this.#lastFrame];
    const frames = last === undefined ? [] : [...new Set([FILE_HEADER_BYTES, this.#seenFrame, last])];
    const looks = Promise.all([
      file.hasName(this.name),
      file.size().then((size) => size >= end),
      this.#hasHeader(),
      ...frames.map((offset) => this.#hasFrame(offset)),
    ]);
    const isThere = await within(clock, writeDeadlineMs, `reading ${this.name}`, looks);
    if (isThere.includes(false)) throw new FileLost(this.name);
    this.#seenFrame = last ?? this.#seenFrame;
  }

  async #hasHeader(): Promise<boolean> {
    const bytes = new Uint8Array(FILE_HEADER_BYTES);
    await this.#file.read(bytes, 0);
    return Buffer.compare(bytes, encodeSegmentHeader(this.header)) === 0;
  }

  async #hasFrame(offset: number): Promise<boolean> {
    const view = new DataView(new ArrayBuffer(Frame.payload));
    await this.#file.read(new Uint8Array(view.buffer), offset);
    return (
      view.getUint32(Frame.magic, true) === FRAME_MAGIC && view.getBigUint64(Frame.offset, true) === BigInt(offset)
    );
  }

  /** Closes the file in the background; nothing depends on the result. */
  abandon(): void {
    closeQuietly(this.#file);
  }

  /** As `close`, in the background. */
  leave(): void {
    void Promise.allSettled([this.close()]);
  }

  /** Closes the file, without the zeros after its last frame. */
  async close(): Promise<void> {
    await this.#allocating;
    if (this.#allocated > this.#offset) await Promise.allSettled([this.#file.truncate(this.#offset)]);
    await this.#file.close();
  }
}

function closeQuietly(file: DiskFile): void {
  void Promise.allSettled([file.close()]);
}
