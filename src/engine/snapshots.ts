/**
 * When a snapshot is written: on request, when the journal has grown enough, and at a stop for a fast next start. Only
 * one is written at a time. Its values may reflect any group up to its end, so it is installed only when the journal is
 * durable through that end, and never after a failure: sequence numbers are then given anew.
 */
import { CountingError } from '../counter/errors.ts';
import type { SnapshotSummary } from '../counter/service.ts';
import type { Clock } from '../host/host.ts';
import { JournalFailure } from '../journal/errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { Committer } from './committer.ts';
import type { SnapshotParts } from './encoding.ts';

/**
 * A stop writes a snapshot if the journal is longer than this part of the regular threshold, and of the last snapshot;
 * replaying less is cheaper.
 */
const CLOSE_JOURNAL_PART = 1 / 32;

export interface SnapshotsOptions {
  readonly journal: Journal;
  readonly committer: Committer;
  readonly clock: Clock;
  /** One is written when the journal has grown by this, and by half of the last one's size. */
  readonly grownBytes: number;
  /** @param isLast nothing changes the table any more. */
  readonly parts: (isLast: boolean) => SnapshotParts;
  /** Resolves when everything applied so far is durable. */
  readonly flush: () => Promise<void>;
  /** Whether one may begin by itself. */
  readonly mayRun: () => boolean;
  /** An automatic snapshot could not be written. */
  readonly onFailure: (error: unknown) => void;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  #underWay: Promise<SnapshotSummary> | undefined;
  #failedAtBytes = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  get underWay(): Promise<SnapshotSummary> | undefined {
    return this.#underWay;
  }

  /** Writes one, or waits for the running one. @throws CountingError unavailable if the disk cannot take it */
  write(isLast: boolean): Promise<SnapshotSummary> {
    this.#underWay ??= this.#write(isLast).finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  /** Starts one if the threshold is reached. */
  whenDue(): void {
    const { journal, grownBytes, mayRun, onFailure } = this.#options;
    const dueBytes = this.#failedAtBytes + Math.max(grownBytes, journal.snapshotBytes / 2);
    if (journal.bytesSinceSnapshot < dueBytes || this.#underWay !== undefined || !mayRun()) return;
    this.write(false).then(
      () => {
        this.#failedAtBytes = 0;
      },
      (error: unknown) => {
        if (!(error instanceof CountingError)) throw error;
        // Not again before the journal has grown by as much again.
        this.#failedAtBytes = journal.bytesSinceSnapshot;
        onFailure(error.cause ?? error);
      },
    );
  }

  /** Whether one more before the stop saves the next start much replay. */
  get isWorthwhile(): boolean {
    const { journal, committer, grownBytes } = this.#options;
    const worthwhileBytes = Math.max(grownBytes, journal.snapshotBytes) * CLOSE_JOURNAL_PART;
    return journal.bytesSinceSnapshot >= worthwhileBytes && !committer.isFailing;
  }

  /** Waits for one, up to the deadline; a failure does not prevent closing. */
  async takesUntil(endMs: number, snapshot: Promise<SnapshotSummary>): Promise<void> {
    const { clock, onFailure } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(Math.max(0, endMs - clock.monotonicMs()), resolve);
      snapshot
        .catch((error: unknown) => {
          if (!(error instanceof CountingError)) throw error;
          onFailure(error.cause ?? error);
        })
        .finally(() => {
          timer.cancel();
          resolve();
        });
    });
  }

  async #write(isLast: boolean): Promise<SnapshotSummary> {
    const { journal, committer, flush } = this.#options;
    const { failures } = committer;
    const parts = this.#options.parts(isLast);
    const durableThrough = async (): Promise<void> => {
      await flush().catch((cause: unknown) => {
        // The outcome of a group is unknown; the snapshot is not installed.
        throw new CountingError('unavailable', undefined, { cause });
      });
      if (committer.failures !== failures) throw new CountingError('unavailable');
    };
    try {
      const written = await journal.snapshot(parts, () => committer.newestSequence, durableThrough);
      return { ...written, counters: parts.counters };
    } catch (cause) {
      if (!(cause instanceof JournalFailure)) throw cause;
      throw new CountingError('unavailable', `the snapshot cannot be written: ${cause.message}; nothing was changed`, {
        cause,
      });
    }
  }
}
