/**
 * Written by earlier versions, which expired idempotency keys by their clock; replaced by `forgotten`. No longer
 * written.
 */
import type { EntryType } from './entry.ts';
import { readMs } from './words.ts';

const BYTES = 8;

export interface HorizonReplay {
  /** Idempotency keys created at or before this, Unix ms, are no longer known. */
  horizon(unixMs: number): void;
}

export const HORIZON: EntryType<HorizonReplay> = {
  number: 5,
  replay({ words }, at, length, replay) {
    if (length !== BYTES) return false;
    replay.horizon(readMs(words, at));
    return true;
  },
};
