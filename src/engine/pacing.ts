/**
 * How long a group keeps gathering after a commit has ended. Sealing it at once would be wrong under load: clients
 * whose updates have just become durable are about to send the next ones, and a write and a sync cost as much processor
 * time as a dozen requests. So it gathers while requests keep arriving: until as many chunks have arrived as the last
 * commit answered, at most for as long as that commit took. A single client never waits.
 */
import type { Durability } from '../counter/service.ts';
import type { Clock } from '../host/host.ts';
import type { Group } from './group.ts';

/** How often `interval` syncs; `off` syncs too, so that what a failure has to restate stays bounded. */
export const SYNC_INTERVAL_MS: Readonly<Record<Durability, number>> = { always: 0, interval: 1000, off: 10_000 };
/**
 * How long `off` gathers before it writes: no caller waits for that, and a counter updated many times is written once.
 */
export const GATHER_MS: Readonly<Record<Durability, number>> = { always: 0, interval: 0, off: 100 };

/** The number of turns without a request that ends the wait: some ten microseconds. */
const IDLE_TURNS_MAX = 4;

export class Pacing {
  readonly #clock: Clock;
  #startedMs = 0;
  #tookMs = 0;
  #answered = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A commit begins. */
  begin(): void {
    this.#startedMs = this.#clock.monotonicMs();
    this.#answered = 0;
  }

  /** It has answered this many more chunks. */
  answered(chunks: number): void {
    this.#answered += chunks;
  }

  /** It has ended. */
  end(): void {
    this.#tookMs = this.#clock.monotonicMs() - this.#startedMs;
  }

  /** Nothing is pending: the next update is committed at once. */
  rest(): void {
    this.#answered = 0;
  }

  /** Resolves when the group should be sealed. */
  async gather(group: Group): Promise<void> {
    const wanted = this.#answered + group.chunks.length;
    const untilMs = this.#clock.monotonicMs() + this.#tookMs;
    let count = group.chunks.length;
    for (let idle = 0; idle < IDLE_TURNS_MAX && count < wanted; idle++) {
      await new Promise<void>((resolve) => this.#clock.soon(resolve));
      if (group.chunks.length === count) continue;
      count = group.chunks.length;
      idle = 0;
      if (this.#clock.monotonicMs() >= untilMs) return;
    }
  }
}
