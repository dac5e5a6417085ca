/**
 * How long a group goes on gathering when a commit has ended. To seal it at once would be wrong under load: those whose
 * updates the commit has just made durable are about to send the next ones, and a write and a sync cost as much
 * processor time as a dozen requests. So it goes on while requests keep coming: until as many chunks have come as the
 * last commit answered, at most for as long as that commit took. One client alone never waits.
 */
import type { Durability } from '../counter/service.ts';
import type { Clock } from '../host/host.ts';
import type { Group } from './group.ts';

/** How often `interval` syncs; `off` syncs too, so that what a failure would have to restate stays bounded. */
export const SYNC_INTERVAL_MS: Readonly<Record<Durability, number>> = { always: 0, interval: 1000, off: 10_000 };
/** How long `off` gathers before it writes: nobody waits for that, and what is counted again meanwhile is written once. */
export const GATHER_MS: Readonly<Record<Durability, number>> = { always: 0, interval: 0, off: 100 };

/** Turns of the event loop without a request that end the wait: some ten microseconds. */
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

  /** It has answered so many chunks more. */
  answered(chunks: number): void {
    this.#answered += chunks;
  }

  /** It has ended. */
  end(): void {
    this.#tookMs = this.#clock.monotonicMs() - this.#startedMs;
  }

  /** Nothing is under way: whatever comes next is committed at once. */
  rest(): void {
    this.#answered = 0;
  }

  /** Resolves when the group is to be sealed. */
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
