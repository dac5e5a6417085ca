/** A record is deleted. */
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { hasKey, keyBytesOf, kindOf, nameLengthOf, unknownKindBefore } from './key.ts';

/** Kind and length. */
const FIXED_BYTES = 4;

export interface DeleteReplay {
  /** The record may be unknown. The key is reused by the caller. */
  delete(kind: number, nameLength: number, key: DataView, start: number): void;
}

export const DELETE: EntryType<DeleteReplay> = {
  number: 3,
  replay({ words, view }, at, length, replay) {
    const kindAndLength = words[at >> 2];
    if (!hasKey(length - FIXED_BYTES, kindAndLength)) return false;
    replay.delete(kindOf(kindAndLength), nameLengthOf(kindAndLength), view, at + FIXED_BYTES);
    return true;
  },
  hasUnknownKind: unknownKindBefore(FIXED_BYTES),
};

export function putDelete(group: GroupBuffer, kind: number, nameLength: number, key: Int32Array, start: number): void {
  const keyBytes = keyBytesOf(kind, nameLength);
  const at = group.open(DELETE.number, FIXED_BYTES + keyBytes);
  group.pieceWords[at >> 2] = kind | (nameLength << 8);
  group.putKey(key, start, keyBytes, at + FIXED_BYTES);
}
