/** A leaf of a table's index as it lies in memory, in a snapshot; leaves come in the order of the hashes. */
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';

const FIXED_BYTES = 8;

/** The words `[from, to)`. */
export interface IndexLeaf {
  readonly words: Int32Array;
  readonly from: number;
  readonly to: number;
  readonly depth: number;
  readonly used: number;
}

export interface IndexLeafReplay {
  indexLeaf(leaf: IndexLeaf): void;
}

export const INDEX_LEAF: EntryType<IndexLeafReplay> = {
  number: 8,
  replay({ words }, at, length, replay) {
    if (length < FIXED_BYTES || length % 4 !== 0) return false;
    const [depth, used] = words.subarray(at >> 2);
    replay.indexLeaf({ words, from: (at + FIXED_BYTES) >> 2, to: (at + length) >> 2, depth, used });
    return true;
  },
};

export function putIndexLeaf(group: GroupBuffer, { words, from, to, depth, used }: IndexLeaf): void {
  const at = group.open(INDEX_LEAF.number, FIXED_BYTES + (to - from) * 4);
  group.pieceWords[at >> 2] = depth;
  group.pieceWords[(at >> 2) + 1] = used;
  group.pieceWords.set(words.subarray(from, to), (at + FIXED_BYTES) >> 2);
}
