/**
 * Blocks of the table as they lie in memory, in a snapshot: copied and not encoded, so that a turn of the event loop
 * that writes some of them is short, and a start reads them as fast as memory is filled.
 *
 * A block is whole units of 16 bytes: value, last update, meta, and then the record's key. A record that is gone, or a
 * block whose name length is 0, is free.
 */
import { KIND_COUNT, SUFFIX_BYTES } from '../../counter/key.ts';
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { ValueEntry, type ValueReplay, type Values } from './value.ts';

export const Block = {
  unitBytes: 16,
  unitWords: 4,
  /** The words of a block. */
  units: 0,
  meta: 3,
  key: 4,
  /** The bits of its meta; the others mean nothing in a file. */
  nameLengthMask: 0xff,
  kindShift: 8,
  kindMask: 0x7,
  gone: 1 << 11,
  deadline: 1 << 12,
} as const;

/** A stretch of blocks, where it was read. */
export interface Blocks {
  readonly words: Int32Array;
  readonly view: DataView;
  /** The words that the blocks fill, back to back. */
  readonly from: number;
  readonly to: number;
  /** Of each block the word that it begins at; the complement (~) of it when the block is free. */
  readonly at: Int32Array;
  readonly count: number;
}

export interface BlocksReplay extends ValueReplay {
  /**
   * Blocks with the states of records. The deadlines of those that have one follow, in their order.
   * @returns false when their states are to be fed as `values` instead
   */
  blocks(blocks: Blocks): boolean;
}

export const BLOCKS: EntryType<BlocksReplay> = {
  number: 9,
  replay({ words, view }, at, length, replay) {
    const from = at >> 2;
    const to = from + (length >> 2);
    const found = { words, view, from, to, at: new Int32Array(length >> 4) };
    const count = length % Block.unitBytes === 0 ? findBlocks(words, from, to, found.at) : MALFORMED_BLOCKS;
    if (count < 0) return false;
    if (!replay.blocks({ ...found, count })) replay.values(toValues({ ...found, count }));
    return true;
  },
  hasUnknownKind(words, at, length) {
    const found = new Int32Array(length >> 4);
    return findBlocks(words, at >> 2, (at + length) >> 2, found) === UNKNOWN_KIND;
  },
};

/** The words `[from, to)` of a table's memory: whole blocks, back to back. */
export function putBlocks(group: GroupBuffer, words: Int32Array, from: number, to: number): void {
  const at = group.open(BLOCKS.number, (to - from) * 4);
  group.pieceWords.set(words.subarray(from, to), at >> 2);
}

/** Length of a record's block. */
export function unitsOf(meta: number): number {
  const keyBytes = (meta & Block.nameLengthMask) + SUFFIX_BYTES[(meta >>> Block.kindShift) & Block.kindMask];
  return 1 + ((keyBytes + Block.unitBytes - 1) >>> 4);
}

const MALFORMED_BLOCKS = -1;
const UNKNOWN_KIND = -2;

/**
 * Finds the blocks that fill the words `[from, to)`.
 * @param at gets where they begin, as in `Blocks`; it has room for one in each unit.
 * @returns how many, or a negative number that tells why they cannot be told apart.
 */
export function findBlocks(words: Int32Array, from: number, to: number, at: Int32Array): number {
  let count = 0;
  let next = from;
  while (next < to) {
    const meta = words[next + Block.meta];
    const isEmpty = (meta & Block.nameLengthMask) === 0;
    if (!isEmpty && ((meta >>> Block.kindShift) & Block.kindMask) >= KIND_COUNT) return UNKNOWN_KIND;
    const units = isEmpty ? words[next + Block.units] : unitsOf(meta);
    if (units <= 0 || units > (to - next) / Block.unitWords) return MALFORMED_BLOCKS;
    at[count++] = isEmpty || (meta & Block.gone) !== 0 ? ~next : next;
    next += units * Block.unitWords;
  }
  return count;
}

/** The records of the blocks, as entries: they differ in one word, which is changed where it was read. */
export function toValues({ words, view, at, count }: Blocks): Values {
  const records = at.subarray(0, count).filter((word) => word >= 0);
  for (const word of records) {
    const meta = words[word + Block.meta];
    const kind = (meta >>> Block.kindShift) & Block.kindMask;
    words[word + ValueEntry.kindAndLength] = kind | ((meta & Block.nameLengthMask) << 8);
  }
  return { words, view, at: records, count: records.length };
}
