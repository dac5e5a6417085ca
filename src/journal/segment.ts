/**
 * The segment that is being written.
 *
 * Invariants:
 * - `durableOffset <= offset`: everything before the first is on the disk for good, everything between them has
 *   been handed to the system. Each frame states the durable offset as it was before it (the durability mark).
 * - Before the file gets its name, everything that makes it the end of the journal is durable in it: the header, and after a
 *   failure the group that states again what was in doubt. Before the first group after that, the name is durable.
 * - Syncs come one after the other, beside writes. What is written during one is not counted as covered by it.
 * - The file is zeros from the last frame through `#allocated`, except where zeros are on their way: no frame is written
 *   there before they have arrived.
 * - After a failed operation nothing more is written here, and no sync succeeds. (Zeros that do not fit do no harm.)
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
  /** An operation of the disk takes at most so long; beyond it counts as failed. */
  readonly writeDeadlineMs: number;
  /**
   * While groups are small, the file is written with so many zeros ahead of them; 0: with none. A sync of bytes that
   * lie where there were some already has no new size and no new blocks to write down: it takes two thirds of the time.
   */
  readonly allocateBytes: number;
}

const SMALL_GROUP_BYTES = 64 * 1024;
/** What groups of ordinary traffic hardly have: their checksums take a few milliseconds. */
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
  /** Where the last frame begins; undefined when there is none. */
  #lastFrame: number | undefined;
  /** The same, when the file was last looked at. */
  #seenFrame = FILE_HEADER_BYTES;
  /** Behind the last frame that says more than how far the file is durable. */
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
   * Makes the file under a temporary name, and gives it its own only when the header, and `first` if there is one, are durable:
   * once it has its name, the segment that it continues counts no further than the point that the header names.
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
      // In the background: the error that led here says more than whether this succeeds; a start removes what stays.
      segment.abandon();
      void Promise.allSettled([disk.unlink(temporary)]);
      throw error;
    }
    return segment;
  }

  /** Behind the last frame written. */
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

  /** Whether groups are here that were durable when the last frame was written, but no frame says so. */
  get needsMark(): boolean {
    return this.#contentEnd > this.#statedOffset;
  }

  /** Where the next segment goes on: behind everything durable. A segment that holds nothing is stepped over. */
  get durablePoint(): Continuation | undefined {
    if (this.#durableOffset === FILE_HEADER_BYTES) return this.header.continues;
    const { number, id } = this.header;
    return { number, id, offset: this.#durableOffset, sequence: this.#durableSequence };
  }

  /** Writes one group behind the last. */
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
        // Frames go on without: this promise stays, so that it is not tried again.
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
   * Looks whether the file is there under its name, with its header, its first and last frame, and the one that was the last at the look before:
   * what is written behind a part that was cut off makes the file as long as it was.
   * @throws FileLost, JournalFailure when the disk does not say
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

  /** Closes the file in the background; nothing depends on how that ends. */
  abandon(): void {
    closeQuietly(this.#file);
  }

  /** As `close`, in the background. */
  leave(): void {
    void Promise.allSettled([this.close()]);
  }

  /** Closes the file, without the zeros behind its last frame. */
  async close(): Promise<void> {
    await this.#allocating;
    if (this.#allocated > this.#offset) await Promise.allSettled([this.#file.truncate(this.#offset)]);
    await this.#file.close();
  }
}

function closeQuietly(file: DiskFile): void {
  void Promise.allSettled([file.close()]);
}
