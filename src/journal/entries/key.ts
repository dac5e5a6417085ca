/**
 * How an entry names a record: in one word the kind (lowest byte) and the length of the name (next byte), and behind it
 * the key, name and suffix.
 */
import { KIND_COUNT, SUFFIX_BYTES } from '../../counter/key.ts';
import { NAME_BYTES_MAX } from '../../counter/limits.ts';
import { assert } from '../../std/assert.ts';

/** Length of a key that is written. */
export function keyBytesOf(kind: number, nameLength: number): number {
  assert(nameLength > 0 && nameLength <= NAME_BYTES_MAX && kind < SUFFIX_BYTES.length, 'a record has a valid key');
  return nameLength + SUFFIX_BYTES[kind];
}

export function kindOf(kindAndLength: number): number {
  return kindAndLength & 0xff;
}

export function nameLengthOf(kindAndLength: number): number {
  return (kindAndLength >>> 8) & 0xff;
}

/** Whether the rest of an entry is as long as its kind and the length of its name say. */
export function hasKey(keyBytes: number, kindAndLength: number): boolean {
  const kind = kindOf(kindAndLength);
  const nameLength = nameLengthOf(kindAndLength);
  return (
    kindAndLength >>> 16 === 0 && kind < KIND_COUNT && nameLength > 0 && keyBytes === nameLength + SUFFIX_BYTES[kind]
  );
}

/** For entries whose key follows `fixedBytes`, the last word of which is the kind and the length. */
export function unknownKindBefore(fixedBytes: number): (words: Int32Array, at: number) => boolean {
  return (words, at) => kindOf(words[((at + fixedBytes) >> 2) - 1]) >= KIND_COUNT;
}
