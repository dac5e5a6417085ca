/**
 * The state of a record: its value and last update. It also says that the record has no deadline, unless one follows.
 *
 * Nearly all entries are of this type. `putValue` and `changeValue` are on the path of an increment and allocate
 * nothing; a replay takes many at once.
 */
import type { GroupBuffer } from '../group.ts';
import type { EntryMemory, EntryType } from './entry.ts';
import { hasKey, keyBytesOf, unknownKindBefore } from './key.ts';

/** Words before the key. */
const FIXED_BYTES = 16;
/** How many are fed together: their data stays in the nearest caches, and their pages in the TLB. */
const VALUES_MAX = 256;

/** The words of a value entry, from its first on. */
export const ValueEntry = {
  low: 0,
  high: 1,
  /** Unix seconds. */
  updatedAt: 2,
  /** The kind in the lowest byte, the length of the name in the next. */
  kindAndLength: 3,
  /** The key's bytes, padded to a whole word. */
  key: 4,
} as const;

/** Entries with the states of records, where they were read. */
export interface Values {
  /** The window, as words and to be read at any byte. */
  readonly words: Int32Array;
  readonly view: DataView;
  /** Of each entry the word that it begins at: see `ValueEntry`. */
  readonly at: Int32Array;
  readonly count: number;
}

export interface ValueReplay {
  /** States of records, in order: many together, so that their cache misses can overlap. */
  values(values: Values): void;
}

export const VALUE: EntryType<ValueReplay> = {
  number: 1,
  // Whole ones are fed by a `ValueRun`.
  replay: () => false,
  hasUnknownKind: unknownKindBefore(FIXED_BYTES),
};

/**
 * The key's bytes, name and suffix, begin with the word `key[start]`, little-endian.
 * @returns where the entry is, for `changeValue`
 */
export function putValue(
  group: GroupBuffer,
  low: number,
  high: number,
  updatedAtSeconds: number,
  kind: number,
  nameLength: number,
  key: Int32Array,
  start: number,
): number {
  const keyBytes = keyBytesOf(kind, nameLength);
  const at = group.open(VALUE.number, FIXED_BYTES + keyBytes);
  const words = group.pieceWords;
  const word = at >> 2;
  words[word] = low;
  words[word + 1] = high;
  words[word + 2] = updatedAtSeconds;
  words[word + 3] = kind | (nameLength << 8);
  group.putKey(key, start, keyBytes, at + FIXED_BYTES);
  return group.placeOf(word);
}

/** The record has changed again: its entry, at `place`, gets the new state. */
export function changeValue(
  group: GroupBuffer,
  place: number,
  low: number,
  high: number,
  updatedAtSeconds: number,
): void {
  const words = group.wordsAt(place);
  const word = group.wordOf(place);
  words[word] = low;
  words[word + 1] = high;
  words[word + 2] = updatedAtSeconds;
}

/** Consecutive value entries, gathered to be fed together. */
export class ValueRun implements Values {
  readonly at: Int32Array;
  count = 0;
  #memory: EntryMemory;

  /** @param entries how many there are at most */
  constructor(memory: EntryMemory, entries: number) {
    this.#memory = memory;
    this.at = new Int32Array(Math.min(entries, VALUES_MAX));
  }

  get words(): Int32Array {
    return this.#memory.words;
  }

  get view(): DataView {
    return this.#memory.view;
  }

  /** Adds the entry with this payload. @returns false if it is not a whole value */
  take(memory: EntryMemory, type: number, at: number, length: number, replay: ValueReplay): boolean {
    const word = at >> 2;
    const kindAndLength = memory.words[word + ValueEntry.kindAndLength];
    if (type !== VALUE.number || !hasKey(length - FIXED_BYTES, kindAndLength)) return false;
    if (this.count === this.at.length || memory !== this.#memory) this.feed(replay);
    this.#memory = memory;
    this.at[this.count++] = word;
    return true;
  }

  feed(replay: ValueReplay): void {
    if (this.count > 0) replay.values(this);
    this.count = 0;
  }
}
