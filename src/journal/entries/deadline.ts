/** When a record expires. Follows the record's value. */
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { hasKey, keyBytesOf, kindOf, nameLengthOf, unknownKindBefore } from './key.ts';
import { readMs } from './words.ts';

/** Unix ms (two words), kind and length. */
const FIXED_BYTES = 12;

export interface DeadlineReplay {
  /** @param deadlineMs Unix ms. The key is reused by the caller. */
  deadline(deadlineMs: number, kind: number, nameLength: number, key: DataView, start: number): void;
}

export const DEADLINE: EntryType<DeadlineReplay> = {
  number: 2,
  replay({ words, view }, at, length, replay) {
    const kindAndLength = words[(at >> 2) + 2];
    if (!hasKey(length - FIXED_BYTES, kindAndLength)) return false;
    replay.deadline(readMs(words, at), kindOf(kindAndLength), nameLengthOf(kindAndLength), view, at + FIXED_BYTES);
    return true;
  },
  hasUnknownKind: unknownKindBefore(FIXED_BYTES),
};

/** @param deadlineMs Unix ms, exact to 2^53. */
export function putDeadline(
  group: GroupBuffer,
  deadlineMs: number,
  kind: number,
  nameLength: number,
  key: Int32Array,
  start: number,
): void {
  const keyBytes = keyBytesOf(kind, nameLength);
  const at = group.open(DEADLINE.number, FIXED_BYTES + keyBytes);
  group.putMs(at, deadlineMs);
  group.pieceWords[(at >> 2) + 2] = kind | (nameLength << 8);
  group.putKey(key, start, keyBytes, at + FIXED_BYTES);
}
