/**
 * Limits how long all connections of a door are served in one turn of the event loop, no matter how many send at once
 * and what they request. When the time is over, connections wait for the next turn, in order. The engine bounds
 * counting; this bounds the cost of requests before and after it.
 */
import type { Clock } from '../../host/host.ts';

const SERVE_MS = 10;

export class DoorTurns {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  /** How many of them are no longer waiting. */
  #served = 0;
  /** When the first connection was served in this turn. */
  #sinceMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether nothing more may begin in this turn. */
  get isOver(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (this.#sinceMs !== undefined) return nowMs - this.#sinceMs >= SERVE_MS;
    this.#sinceMs = nowMs;
    this.#clock.soon(this.#begin);
    return false;
  }

  /** Whether connections wait, so that the current one should yield soon. */
  get isWantedByOthers(): boolean {
    return this.#served < this.#waiting.length;
  }

  /**
   * Calls back when those who wait already have been served; asked for while somebody is (`isOver` was asked in this
   * turn).
   */
  later(serve: () => void): void {
    this.#waiting.push(serve);
  }

  readonly #begin = (): void => {
    this.#sinceMs = undefined;
    // Connections that return meanwhile are served in the next turn.
    for (let left = this.#waiting.length; left > 0 && !this.isOver; left--) this.#waiting[this.#served++]();
    this.#waiting.splice(0, this.#served);
    this.#served = 0;
  };
}
