/** Idempotency keys that are no longer known. */
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { readMs } from './words.ts';

const BYTES = 16;

export interface ForgottenReplay {
  /** Those born from one time through another, Unix ms. */
  forgotten(fromMs: number, throughMs: number): void;
}

export const FORGOTTEN: EntryType<ForgottenReplay> = {
  number: 11,
  replay({ words }, at, length, replay) {
    if (length !== BYTES) return false;
    replay.forgotten(readMs(words, at), readMs(words, at + 8));
    return true;
  },
};

export function putForgotten(group: GroupBuffer, fromMs: number, throughMs: number): void {
  const at = group.open(FORGOTTEN.number, BYTES);
  group.putMs(at, fromMs);
  group.putMs(at + 8, throughMs);
}
