/** A limit to how long the disk may take. */
import type { Clock } from '../host/host.ts';
import { JournalFailure, journalFailure } from './errors.ts';

/**
 * The result of `work`, or a `JournalFailure` when it fails or takes longer than `timeoutMs`. An operation on a
 * disk cannot be called back: when it completes late, its result is handed to `late` and otherwise ignored.
 */
export function within<T>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  work: Promise<T>,
  late?: (result: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = clock.schedule(timeoutMs, () => {
      isLate = true;
      reject(new JournalFailure(`${what} took longer than ${timeoutMs} ms`));
    });
    work.then(
      (result) => {
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
