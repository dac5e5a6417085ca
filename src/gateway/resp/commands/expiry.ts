/** Expire times as Redis's options and commands give them, turned into what the counting service takes. */
import type { DeadlineChange } from '../../../counter/chunk.ts';
import { INT64_MAX, INT64_MIN } from '../../../counter/int64.ts';
import { DEADLINE_MS_MAX } from '../../../counter/limits.ts';

/** How an expire time is given. */
export type ExpiryKind = 'ex' | 'px' | 'exat' | 'pxat';

export function isExpiryKind(word: string): word is ExpiryKind {
  return word === 'ex' || word === 'px' || word === 'exat' || word === 'pxat';
}

/** @returns undefined if there is no such deadline; the error is then `invalidExpireTime`. */
export function deadlineIn(kind: ExpiryKind, value: bigint, nowMs: number): DeadlineChange | undefined {
  const ms = kind === 'ex' || kind === 'exat' ? value * 1000n : value;
  if (ms > INT64_MAX || ms < INT64_MIN) return undefined;
  const isRelative = kind === 'ex' || kind === 'px';
  const at = isRelative ? ms + BigInt(nowMs) : ms;
  if (at > BigInt(DEADLINE_MS_MAX)) return undefined;
  if (isRelative && ms > 0n) return { kind: 'in', ms: Number(ms) };
  // Times before 1970 are treated as 1970.
  return { kind: 'at', unixMs: Math.max(Number(at), 1) };
}

export function invalidExpireTime(command: string): string {
  return `ERR invalid expire time in '${command}' command`;
}
