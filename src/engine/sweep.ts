/** Deletes counters whose time has come: a few at a time, so that nobody waits for it. */
import type { Clock, Timer } from '../host/host.ts';
import type { Committer } from './committer.ts';
import type { Records } from './records.ts';

const INTERVAL_MS = 50;
const RECORDS_MAX = 5_000;
/** That hold a deadline, or none: looking at one costs next to nothing. */
const PLACES_MAX = 20_000;

export class Sweep {
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #clock: Clock;
  /** Whether nothing more important is to be done. */
  readonly #mayRun: () => boolean;
  #timer: Timer | undefined;

  constructor(records: Records, committer: Committer, clock: Clock, mayRun: () => boolean) {
    this.#records = records;
    this.#committer = committer;
    this.#clock = clock;
    this.#mayRun = mayRun;
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#clock.schedule(INTERVAL_MS, () => {
      this.#schedule();
      this.#run();
    });
  }

  #run(): void {
    const { deadlines } = this.#records;
    if (deadlines.size === 0 || !this.#mayRun() || !this.#committer.hasRoom(RECORDS_MAX)) return;
    const remove = (ref: number): void => {
      this.#records.markDeleted(ref);
      this.#records.touch(ref);
    };
    const expired = deadlines.sweep(PLACES_MAX, this.#clock.nowMs(), remove, RECORDS_MAX);
    if (expired > 0) this.#committer.kick();
  }
}
