/**
 * A group while it is encoded: one frame, from the header to the padding. The contents of entries are in `entries/`.
 * Reused; grows by pieces of 1 MiB, so that growing copies nothing, and an entry never straddles two pieces. (The file
 * has no pieces: their used parts are written one after another.)
 *
 * Invariants:
 * - Entries start at multiples of 4 in the frame, so their words are written through an `Int32Array`.
 * - `open` and `putKey` are on the path of an increment: they allocate nothing.
 * - A frame is at most `GROUP_BYTES_MAX` long; callers that fill it check `bytes` and split before that.
 */
import { crc32 } from 'node:zlib';
import { highLane } from '../counter/int64.ts';
import { GROUP_BYTES_MAX, GROUP_ENTRY_BYTES_MAX } from '../counter/limits.ts';
import { assert } from '../std/assert.ts';
import type { EntryMemory } from './entries/entry.ts';
import {
  ENTRY_LENGTH_MASK,
  ENTRY_MUST_UNDERSTAND,
  ENTRY_TYPE_MASK,
  ENTRY_TYPE_SHIFT,
  FRAME_MAGIC,
  Frame,
  ID_BYTES,
  SECTOR_BYTES,
  wholeSectors,
} from './format.ts';

const PIECE_WORDS_LOG2 = 18;
const PIECE_WORDS = 1 << PIECE_WORDS_LOG2;
const PIECE_BYTES = PIECE_WORDS * 4;
/** The last piece is padded to a whole sector. */
const PIECE_USABLE_BYTES = PIECE_BYTES - SECTOR_BYTES;
/** The memory that a group keeps for reuse; a rare large one releases the rest. */
const PIECES_KEPT_MAX = 8;
/** How much of a large group is checksummed in a turn: some milliseconds. */
const PIECES_A_TURN = 8;
const TWO_TO_32 = 4294967296;

assert(GROUP_ENTRY_BYTES_MAX <= PIECE_USABLE_BYTES - Frame.payload, 'every entry fits in a piece');
assert(GROUP_ENTRY_BYTES_MAX <= ENTRY_LENGTH_MASK, 'every entry has a length that its header can tell');
assert(GROUP_BYTES_MAX < TWO_TO_32, 'a frame has a length that its header can tell');

interface Piece extends EntryMemory {
  used: number;
}

export class GroupBuffer {
  #sequence = 0n;
  #timeMs = 0;
  #entries = 0;
  readonly #pieces: Piece[] = [newPiece()];
  /** The piece that is being filled, and its parts: an increment needs nothing else. */
  #piece = this.#pieces[0];
  #last = 0;
  #bytesBefore = 0;
  #words = this.#piece.words;
  #used: number = Frame.payload;

  /** Starts an empty group. It gets its number by `stamp`, before it is sealed. */
  begin(): void {
    this.#sequence = 0n;
    this.#entries = 0;
    if (this.#pieces.length > PIECES_KEPT_MAX) this.#pieces.length = PIECES_KEPT_MAX;
    this.#bytesBefore = 0;
    this.#enter(0);
    this.#used = Frame.payload;
  }

  stamp(sequence: bigint, timeMs: number): void {
    assert(sequence > 0n, 'sequence numbers start at 1');
    this.#sequence = sequence;
    this.#timeMs = timeMs;
  }

  get sequence(): bigint {
    return this.#sequence;
  }

  /** Wall-clock time, Unix ms. */
  get timeMs(): number {
    return this.#timeMs;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Length of the frame so far, without padding. */
  get bytes(): number {
    return this.#bytesBefore + this.#used;
  }

  /** How many pieces it has: each holds at most 1 MiB of entries. */
  get pieces(): number {
    return this.#last + 1;
  }

  /**
   * Calls back for each entry, or for those of one piece, in order: its payload is `[at, at + length)` of the memory.
   */
  forEach(visit: (memory: EntryMemory, type: number, at: number, length: number) => void, of?: number): void {
    for (let i = of ?? 0; i <= (of ?? this.#last); i++) {
      const piece = this.#pieces[i];
      const end = i === this.#last ? this.#used : piece.used;
      for (let at: number = i === 0 ? Frame.payload : 0; at < end; ) {
        const header = piece.words[at >> 2];
        const length = header & ENTRY_LENGTH_MASK;
        visit(piece, (header >>> ENTRY_TYPE_SHIFT) & ENTRY_TYPE_MASK, at + 4, length);
        at += 4 + ((length + 3) & ~3);
      }
    }
  }

  /**
   * Completes the frame: header, padding, checksum.
   * @param id of the file that it goes into.
   * @param offset of the frame in that file.
   * @param durableOffset through which that file is known to be durable.
   * @returns the frame's parts in order; valid until the next `begin`.
   */
  seal(id: Uint8Array, offset: number, durableOffset: number): Uint8Array[] {
    const parts = this.#complete(id, offset, durableOffset);
    this.#sign(frameChecksum(parts));
    return parts;
  }

  /** The same for a large group, a few pieces at a time. @param turn resolves when other work has had its turn */
  async sealInTurns(
    id: Uint8Array,
    offset: number,
    durableOffset: number,
    turn: () => Promise<void>,
  ): Promise<Uint8Array[]> {
    const parts = this.#complete(id, offset, durableOffset);
    let checksum = frameChecksum(parts.slice(0, 1));
    for (let i = 1; i < parts.length; i++) {
      if (i % PIECES_A_TURN === 0) await turn();
      checksum = crc32(parts[i], checksum);
    }
    this.#sign(checksum);
    return parts;
  }

  /** Header and padding, but for the checksum. */
  #complete(id: Uint8Array, offset: number, durableOffset: number): Uint8Array[] {
    assert(id.length === ID_BYTES, 'a file id has 16 bytes');
    assert(this.#sequence > 0n, 'a group has its number before it is sealed');
    assert(this.bytes <= GROUP_BYTES_MAX, 'a frame is at most GROUP_BYTES_MAX long');
    const { bytes } = this.#pieces[0];
    const header = new DataView(bytes.buffer, 0, Frame.payload);
    header.setUint32(Frame.magic, FRAME_MAGIC, true);
    header.setUint32(Frame.length, this.bytes, true);
    bytes.set(id, Frame.id);
    header.setBigUint64(Frame.sequence, this.#sequence, true);
    header.setBigUint64(Frame.timeMs, BigInt(this.#timeMs), true);
    header.setBigUint64(Frame.durableOffset, BigInt(durableOffset), true);
    header.setBigUint64(Frame.offset, BigInt(offset), true);
    header.setUint32(Frame.entries, this.#entries, true);
    this.#piece.used = this.#used;
    const end = this.#used + wholeSectors(this.bytes) - this.bytes;
    this.#piece.bytes.fill(0, this.#used, end);
    const parts = this.#pieces.slice(0, this.#last + 1).map((piece) => piece.bytes.subarray(0, piece.used));
    parts[this.#last] = this.#piece.bytes.subarray(0, end);
    return parts;
  }

  #sign(checksum: number): void {
    new DataView(this.#pieces[0].bytes.buffer).setUint32(Frame.crc, checksum, true);
  }

  /** The piece that holds the entry opened last. */
  get pieceWords(): Int32Array {
    return this.#words;
  }

  /** The same bytes. */
  get pieceBytes(): Uint8Array {
    return this.#piece.bytes;
  }

  /** The place in the group of the entry opened last, for later changes. */
  placeOf(word: number): number {
    return this.#last * PIECE_WORDS + word;
  }

  /** The piece that holds a place, and the place's word in it. */
  wordsAt(place: number): Int32Array {
    return this.#pieces[place >>> PIECE_WORDS_LOG2].words;
  }

  wordOf(place: number): number {
    return place & (PIECE_WORDS - 1);
  }

  /** Makes room for an entry and writes its header. @returns where its payload begins in the piece, in bytes. */
  open(type: number, length: number): number {
    assert(length <= GROUP_ENTRY_BYTES_MAX, 'an entry is at most GROUP_ENTRY_BYTES_MAX long');
    const padded = 4 + ((length + 3) & ~3);
    if (this.#used + padded > PIECE_USABLE_BYTES) this.#enterNext();
    const at = this.#used;
    this.#used = at + padded;
    this.#words[at >> 2] = length | (type << ENTRY_TYPE_SHIFT) | ENTRY_MUST_UNDERSTAND;
    // The last word may end in padding, which must not contain remains of an earlier group.
    this.#words[(this.#used >> 2) - 1] = 0;
    this.#entries++;
    return at + 4;
  }

  /** Copies a key into an entry, word by word: for usual lengths this is faster than `set`, which needs a view. */
  putKey(key: Int32Array, start: number, length: number, to: number): void {
    const words = this.#words;
    const word = to >> 2;
    const whole = length >> 2;
    for (let i = 0; i < whole; i++) words[word + i] = key[start + i];
    const rest = (length & 3) << 3;
    if (rest > 0) words[word + whole] = key[start + whole] & ((1 << rest) - 1);
  }

  /** Two words, low first. */
  putMs(at: number, value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'a time is a whole number from 0 to 2^53 - 1');
    this.#words[at >> 2] = value | 0;
    this.#words[(at >> 2) + 1] = highLane(value);
  }

  #enterNext(): void {
    this.#piece.used = this.#used;
    this.#bytesBefore += this.#used;
    assert(this.#bytesBefore <= GROUP_BYTES_MAX, 'a frame is at most GROUP_BYTES_MAX long');
    if (this.#last + 1 === this.#pieces.length) this.#pieces.push(newPiece());
    this.#enter(this.#last + 1);
    this.#used = 0;
  }

  #enter(index: number): void {
    this.#last = index;
    this.#piece = this.#pieces[index];
    this.#words = this.#piece.words;
  }
}

function newPiece(): Piece {
  const buffer = new ArrayBuffer(PIECE_BYTES);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), view: new DataView(buffer), used: 0 };
}

/** CRC-32 of a frame without the checksum itself; the first part holds at least the header. */
export function frameChecksum(parts: readonly Uint8Array[]): number {
  let checksum = crc32(parts[0].subarray(0, Frame.crc));
  checksum = crc32(parts[0].subarray(Frame.payload), checksum);
  for (let i = 1; i < parts.length; i++) checksum = crc32(parts[i], checksum);
  return checksum;
}
