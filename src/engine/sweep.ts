/** Deletes expired counters: a few at a time, so that requests do not wait for it. */
import type { Clock, Timer } from '../host/host.ts';
import type { Committer } from './committer.ts';
import type { Records } from './records.ts';

const INTERVAL_MS = 50;
const RECORDS_MAX = 5_000;
/** Places to check, with or without a deadline: checking one costs almost nothing. */
const PLACES_MAX = 20_000;

export class Sweep {
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #clock: Clock;
  /** Whether there is no more important work. */
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
