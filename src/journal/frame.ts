/**
 * Reads frames from a file through one moving window: large reads, no copies of entries, and objects only for rare
 * entries.
 *
 * Invariants:
 * - A frame is examined only when it is wholly in the window, and accepted only if its magic, the file's random id, its
 *   length, its offset and its checksum agree.
 * - The window begins at a multiple of a sector, so the words of a frame are aligned in it.
 */
import { GROUP_BYTES_MAX } from '../counter/limits.ts';
import type { DiskFile } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { FRAME_MAGIC, Frame, ID_BYTES, SECTOR_BYTES, wholeSectors } from './format.ts';
import { frameChecksum } from './group.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;

/** The memory that frames are read into; one can serve many readers, one after the other. */
export class Window {
  bytes = new Uint8Array(WINDOW_BYTES);
  words = new Int32Array(this.bytes.buffer);
  view = new DataView(this.bytes.buffer);

  /** Grows it to at least this length; `[from, to)` moves to its front. */
  reserve(length: number, from: number, to: number): void {
    if (length <= this.bytes.length) {
      this.bytes.copyWithin(0, from, to);
      return;
    }
    const larger = new Uint8Array(wholeSectors(length));
    larger.set(this.bytes.subarray(from, to));
    this.bytes = larger;
    this.words = new Int32Array(larger.buffer);
    this.view = new DataView(larger.buffer);
  }

  /** Releases the memory without waiting for the garbage collector; it is not used again. */
  release(): void {
    this.bytes.buffer.transfer(0);
  }
}

export class FrameReader {
  /** Of the frame that `check` has found whole. `start` is where it begins in the window. */
  sequence = 0n;
  timeMs = 0;
  durableOffset = 0;
  entries = 0;
  start = 0;
  /** Without and with padding. */
  length = 0;
  paddedLength = 0;
  /** Why `check` found no frame. */
  reason = '';

  readonly window: Window;
  readonly #file: DiskFile;
  readonly #id: Uint8Array;
  /** What counts of the file. */
  readonly #size: number;
  /** The window holds `[from, to)` of the file. */
  #from = 0;
  #to = 0;

  /** @param size bytes behind this are not looked at. */
  constructor(file: DiskFile, id: Uint8Array, size: number, window: Window) {
    this.#file = file;
    this.#id = id;
    this.#size = size;
    this.window = window;
  }

  /** Whether `check(offset)` can be asked; otherwise `load(offset)` comes first. */
  holds(offset: number): boolean {
    if (offset >= this.#size) return true;
    if (offset < this.#from || offset + SECTOR_BYTES > this.#to) return this.#to === this.#size && offset >= this.#from;
    return this.#to === this.#size || offset + wholeSectors(this.#claimedLength(offset)) <= this.#to;
  }

  async load(offset: number): Promise<void> {
    assert(offset % SECTOR_BYTES === 0, 'frames begin at sectors');
    do {
      const isInside = offset >= this.#from && offset < this.#to;
      const kept = isInside ? this.#to - offset : 0;
      // A length beyond the end is invalid, and no reason to allocate memory.
      const claimed = isInside ? this.#claimedLength(offset) : 0;
      this.window.reserve(
        Math.min(claimed, this.#size - offset),
        isInside ? offset - this.#from : 0,
        isInside ? this.#to - this.#from : 0,
      );
      const { bytes } = this.window;
      const end = Math.min(bytes.length, this.#size - offset);
      const read = await this.#file.read(bytes.subarray(kept, end), offset + kept);
      assert(read === end - kept, 'a file does not become shorter while it is read');
      this.#from = offset;
      this.#to = offset + end;
    } while (!this.holds(offset));
  }

  /** Whether a whole frame begins at `offset`; its parts are then in the fields, otherwise `reason` says why not. */
  check(offset: number): boolean {
    const room = this.#size - offset;
    if (room < SECTOR_BYTES) return this.#refuse(room <= 0 ? 'the file ends' : 'the file ends within a frame');
    const start = offset - this.#from;
    const length = this.#claimedLength(offset);
    if (length === 0) return this.#refuse('no frame of this file begins here');
    const padded = wholeSectors(length);
    if (padded > room) return this.#refuse('the file ends within a frame');
    const { view } = this.window;
    const frame = this.window.bytes.subarray(start, start + padded);
    if (view.getBigUint64(start + Frame.offset, true) !== BigInt(offset)) {
      return this.#refuse('the frame belongs elsewhere in the file');
    }
    if (view.getUint32(start + Frame.crc, true) !== frameChecksum([frame])) {
      return this.#refuse('the checksum of the frame is wrong');
    }
    this.sequence = view.getBigUint64(start + Frame.sequence, true);
    this.timeMs = Number(view.getBigUint64(start + Frame.timeMs, true));
    this.durableOffset = Number(view.getBigUint64(start + Frame.durableOffset, true));
    this.entries = view.getUint32(start + Frame.entries, true);
    this.start = start;
    this.length = length;
    this.paddedLength = padded;
    return true;
  }

  /**
   * Whether the sector at `offset` (what there is of it) holds nothing but zeros, as one that is only allocated does.
   */
  isZero(offset: number): boolean {
    const { bytes } = this.window;
    const end = Math.min(offset + SECTOR_BYTES, this.#size) - this.#from;
    for (let i = offset - this.#from; i < end; i++) if (bytes[i] !== 0) return false;
    return true;
  }

  #refuse(reason: string): boolean {
    this.reason = reason;
    return false;
  }

  /** The length that the frame at `offset` claims, or 0 when it is none of this file's. */
  #claimedLength(offset: number): number {
    const start = offset - this.#from;
    if (start + SECTOR_BYTES > this.#to - this.#from) return 0;
    const { bytes, words, view } = this.window;
    if (words[start >> 2] !== FRAME_MAGIC) return 0;
    for (let i = 0; i < ID_BYTES; i++) if (bytes[start + Frame.id + i] !== this.#id[i]) return 0;
    const length = view.getUint32(start + Frame.length, true);
    return length >= Frame.payload && length <= GROUP_BYTES_MAX ? length : 0;
  }
}
