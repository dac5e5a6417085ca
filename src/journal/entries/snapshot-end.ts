/** The last entry of a snapshot: a snapshot without it is not whole. */
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { readMs, readUint64 } from './words.ts';

const BYTES = 16;

export interface SnapshotEnd {
  /** The newest group that may show in the snapshot. */
  readonly sequence: bigint;
  /** Entries before this one. */
  readonly entries: number;
}

export interface SnapshotEndReplay {
  snapshotEnd(end: SnapshotEnd): void;
}

export const SNAPSHOT_END: EntryType<SnapshotEndReplay> = {
  number: 6,
  replay({ words }, at, length, replay) {
    if (length !== BYTES) return false;
    replay.snapshotEnd({ sequence: readUint64(words, at), entries: readMs(words, at + 8) });
    return true;
  },
};

export function putSnapshotEnd(group: GroupBuffer, { sequence, entries }: SnapshotEnd): void {
  const at = group.open(SNAPSHOT_END.number, BYTES);
  new DataView(group.pieceBytes.buffer).setBigUint64(at, sequence, true);
  group.putMs(at + 8, entries);
}
