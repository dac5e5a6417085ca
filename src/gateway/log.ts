/** What a door writes to the log, and how much of it clients can cause. */
import type { Clock } from '../host/host.ts';

/** The subset of pino that a door needs. */
export interface Log {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

type Level = keyof Log;

/** Counted from the first line of its kind. */
const QUIET_MS = 1_000;

/**
 * Hostile clients come in floods: each kind of line (its message and its `reason`) is written once a second, and one
 * line states how many `more` there were. The program defines the kinds, so there are few.
 */
export class BoundedLog implements Log {
  readonly #log: Log;
  readonly #clock: Clock;
  /** Lines left out since the last written one, by kind. */
  readonly #leftOut = new Map<string, number>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  info(data: object, message: string): void {
    this.#write('info', data, message);
  }

  warn(data: object, message: string): void {
    this.#write('warn', data, message);
  }

  error(data: object, message: string): void {
    this.#write('error', data, message);
  }

  #write(level: Level, data: object, message: string): void {
    const { reason } = data as { readonly reason?: string };
    const kind = JSON.stringify([message, reason]);
    const leftOut = this.#leftOut.get(kind);
    if (leftOut !== undefined) {
      this.#leftOut.set(kind, leftOut + 1);
      return;
    }
    this.#leftOut.set(kind, 0);
    this.#log[level](data, message);
    this.#clock.schedule(QUIET_MS, () => {
      const more = this.#leftOut.get(kind) ?? 0;
      this.#leftOut.delete(kind);
      if (more > 0) this.#log[level]({ reason, more }, message);
    });
  }
}
