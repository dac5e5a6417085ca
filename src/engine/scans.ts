/**
 * Listing beside running traffic: each page is read in a turn with room for it, and returned when its content is
 * durable.
 */
import { CountingError } from '../counter/errors.ts';
import type { ScanPage, ScanRequest } from '../counter/service.ts';
import type { Clock } from '../host/host.ts';
import type { Committer } from './committer.ts';
import type { Listing } from './listing.ts';
import { NO_GROUP } from './records.ts';
import type { Turns } from './turns.ts';

export class Scans {
  readonly #listing: Listing;
  readonly #committer: Committer;
  readonly #turns: Turns;
  readonly #clock: Clock;

  constructor(listing: Listing, committer: Committer, turns: Turns, clock: Clock) {
    this.#listing = listing;
    this.#committer = committer;
    this.#turns = turns;
    this.#clock = clock;
  }

  /** @throws CountingError invalid_cursor, invalid_pattern, unavailable */
  scan(request: ScanRequest): Promise<ScanPage> {
    return new Promise((resolve, reject) => {
      this.#turns.run(() => {
        try {
          const { page, dependency, steps } = this.#listing.page(request, this.#clock.nowMs());
          if (dependency === NO_GROUP) resolve(page);
          else this.#whenDurable(dependency, () => resolve(page), reject);
          return steps;
        } catch (error) {
          reject(error);
          return 1;
        }
      });
    });
  }

  #whenDurable(order: number, durable: () => void, reject: (error: CountingError) => void): void {
    const failed = (): void => reject(new CountingError('unavailable'));
    this.#committer.group(order).waiters.push({ durable, failed });
    this.#committer.kick();
  }
}
