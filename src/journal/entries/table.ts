/**
 * The head of a table that is copied into a snapshot: its blocks follow, and before them the leaves of its index if it
 * has them.
 */
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { readMs } from './words.ts';

const BYTES = 24;
/** Limits the directory to a size that real tables can need. */
const INDEX_DEPTH_MAX = 24;

/** What is known about a table before its blocks. */
export interface TableHead {
  /** About. */
  readonly records: number;
  /** The directory of its index has 2^so many entries; 0: the index is not in the file. */
  readonly indexDepth: number;
  /** What the index was made with, 8 bytes. */
  readonly hashKey: Uint8Array;
}

export interface TableReplay {
  /** The snapshot copies the table as it was in memory: the leaves of its index follow if stated, then its blocks. */
  table(head: TableHead): void;
}

export const TABLE: EntryType<TableReplay> = {
  number: 7,
  replay({ bytes, words }, at, length, replay) {
    const indexDepth = words[(at >> 2) + 2];
    if (length !== BYTES || indexDepth < 0 || indexDepth > INDEX_DEPTH_MAX) return false;
    replay.table({ records: readMs(words, at), indexDepth, hashKey: bytes.slice(at + 16, at + BYTES) });
    return true;
  },
};

export function putTable(group: GroupBuffer, { records, indexDepth, hashKey }: TableHead): void {
  const at = group.open(TABLE.number, BYTES);
  group.putMs(at, records);
  group.pieceWords[(at >> 2) + 2] = indexDepth;
  group.pieceWords[(at >> 2) + 3] = 0;
  group.pieceBytes.set(hashKey, at + 16);
}
