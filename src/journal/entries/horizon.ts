/** Of earlier versions, which forgot idempotency keys by their clock: `forgotten` has taken its place. Nobody writes it. */
import type { EntryType } from './entry.ts';
import { readMs } from './words.ts';

const BYTES = 8;

export interface HorizonReplay {
  /** Idempotency keys born at or before this, Unix ms, are no longer known. */
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
