/**
 * How long all connections of a door are served in one turn of the event loop: however many send at once, and whatever
 * they ask for, the turn ends. Who comes when the time is over waits for the next one, in order. Counting is bounded by
 * the engine; this is about what requests cost before and behind that.
 */
import type { Clock } from '../../host/host.ts';

const SERVE_MS = 10;

export class DoorTurns {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  /** So many of them are no longer waiting. */
  #served = 0;
  /** Since when somebody is served in this turn. */
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

  /** Whether somebody waits, so that whoever is served now should let go soon. */
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
    // Those who come back meanwhile are served in the next turn.
    for (let left = this.#waiting.length; left > 0 && !this.isOver; left--) this.#waiting[this.#served++]();
    this.#waiting.splice(0, this.#served);
    this.#served = 0;
  };
}
