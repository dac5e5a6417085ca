/** A limit to how long the disk may take. */
import type { Clock } from '../host/host.ts';
import { JournalFailure, journalFailure } from './errors.ts';

/**
 * The wait is split into this many parts, and each counts once, no matter how late it ends: if the event loop stalls,
 * the disk may have answered long ago, and the answer is received only when the loop turns again.
 */
const PARTS = 10;

/**
 * The result of `work`, or a `JournalFailure` if it fails or takes longer than `timeoutMs`. A disk operation cannot be
 * cancelled: if it completes late, its result is passed to `late` and otherwise ignored.
 */
export function within<T>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  work: Promise<T>,
  late?: (result: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isDone = false;
    let isLate = false;
    const expire = (): void => {
      isLate = !isDone;
      reject(new JournalFailure(`${what} took longer than ${timeoutMs} ms`));
    };
    const wait = (parts: number) =>
      clock.schedule(timeoutMs / PARTS, () => {
        if (parts > 1) timer = wait(parts - 1);
        else clock.soon(expire);
      });
    let timer = wait(PARTS);
    work.then(
      (result) => {
        isDone = true;
        timer.cancel();
        if (isLate) late?.(result);
        else resolve(result);
      },
      (error) => {
        timer.cancel();
        reject(journalFailure(error));
      },
    );
  });
}
