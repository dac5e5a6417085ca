/**
 * One bound for the connections of all doors: each takes a descriptor of the process, and the journal, a snapshot or a
 * store must never run out of them.
 */
import { CONNECTIONS_MAX } from '../counter/limits.ts';
import type { Clock } from '../host/host.ts';
import { assert } from '../std/assert.ts';

/** Refusals come in floods, so the log reports them only from time to time. */
const REPORT_MS = 10_000;

type Report = (data: { readonly refused: number; readonly max: number }) => void;

export class ConnectionBudget {
  readonly max: number;
  readonly #clock: Clock;
  readonly #report: Report;
  #open = 0;
  #refused = 0;
  #reportedMs = Number.NEGATIVE_INFINITY;

  /** @param report called when connections are refused, at most every ten seconds. */
  constructor(max: number, clock: Clock, report: Report) {
    this.max = max;
    this.#clock = clock;
    this.#report = report;
  }

  /** The default for a door that is alone in its process. */
  static ofOneDoor(clock: Clock, log: { warn(data: object, message: string): void }): ConnectionBudget {
    return new ConnectionBudget(CONNECTIONS_MAX, clock, (data) => log.warn(data, 'connections refused'));
  }

  /** Connections that may still be opened. */
  get left(): number {
    return this.max - this.#open;
  }

  /** Connections refused so far. */
  get refused(): number {
    return this.#refused;
  }

  /** Registers an open connection. @returns false if it must be refused. */
  take(): boolean {
    if (this.left <= 0) {
      this.refuse();
      return false;
    }
    this.#open++;
    return true;
  }

  /** Registers the close of an accepted connection. */
  give(): void {
    assert(this.#open > 0, 'only a connection that was taken is given back');
    this.#open--;
  }

  /** Registers a connection that was refused elsewhere for lack of budget. */
  refuse(): void {
    this.#refused++;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#reportedMs < REPORT_MS) return;
    this.#reportedMs = nowMs;
    this.#report({ refused: this.#refused, max: this.max });
  }
}
