/** The periodic work of a replica. Failures are reported and retried at the next period. */
import type { Clock } from '../host/host.ts';
import { Pauses } from './pause.ts';

export class Loops {
  readonly #pauses: Pauses;
  readonly #failed: (error: unknown) => void;
  readonly #running: Promise<void>[] = [];
  #isOver = false;

  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#pauses = new Pauses(clock);
    this.#failed = failed;
  }

  /** They end after the running step. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Starts one: a step at once, and a pause after each. */
  every(periodMs: number, step: () => unknown): void {
    this.#running.push(this.#run(periodMs, step));
  }

  /** All of them take their next step at once. */
  hurry(): void {
    this.#pauses.skip();
  }

  end(): void {
    this.#isOver = true;
    this.#pauses.end();
  }

  /** Resolves when all have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #run(periodMs: number, step: () => unknown): Promise<void> {
    while (!this.#isOver) {
      try {
        await step();
      } catch (error) {
        if (!this.#isOver) this.#failed(error);
      }
      await this.#pauses.take(periodMs);
    }
  }
}
