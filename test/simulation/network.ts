/**
 * The network between one process and the store, from one seed. A call may be lost on its way, or its answer; it may be
 * carried out twice, or so late that the caller has given up long before; and each direction may be cut for a time.
 */

import type { SeededRandom } from '../../src/std/random.ts';
import type { Line } from '../../src/store/memory/memory-store.ts';
import { StoreError } from '../../src/store/slot-store.ts';
import type { SimulatedClock } from './host.ts';
import type { SimulatedProcess } from './process.ts';

/** How likely each of these is, per call. */
export interface Weather {
  readonly lost: number;
  readonly answerLost: number;
  readonly twice: number;
  readonly late: number;
}

export const CALM: Weather = { lost: 0, answerLost: 0, twice: 0, late: 0 };
export const ROUGH: Weather = { lost: 0.05, answerLost: 0.05, twice: 0.1, late: 0.05 };
export const STORM: Weather = { lost: 0.2, answerLost: 0.2, twice: 0.2, late: 0.2 };

export type Partition = 'none' | 'requests' | 'answers' | 'both';

export const CALL_MS = 100;
const TRIP_MS = 3;
const LATE_MS = 4_000;

export class Link {
  weather: Weather = CALM;
  partition: Partition = 'none';
  readonly #timeline: SimulatedClock;
  readonly #random: SeededRandom;
  readonly #process: SimulatedProcess;
  readonly #broken: (error: unknown) => void;

  /** @param broken told when the store itself finds something wrong. */
  constructor(
    timeline: SimulatedClock,
    random: SeededRandom,
    process: SimulatedProcess,
    broken: (error: unknown) => void,
  ) {
    this.#timeline = timeline;
    this.#random = random;
    this.#process = process;
    this.#broken = broken;
  }

  readonly line: Line = (call) =>
    new Promise((resolve, reject) => {
      const timer = this.#process.clock.schedule(CALL_MS, () => reject(new StoreError('no answer in time')));
      const answered = (answer: Parameters<typeof resolve>[0]): void =>
        this.#process.enter(() => {
          timer.cancel();
          resolve(answer);
        });
      this.#carry(call, answered);
    });

  #carry<Answer>(call: () => Answer, answered: (answer: Answer) => void): void {
    if (this.#process.isDead || this.partition === 'requests' || this.partition === 'both') return;
    const { lost, answerLost, twice, late } = this.weather;
    const random = this.#random;
    if (random.chance(lost)) return;
    const execute = (isAnswered: boolean): void => {
      try {
        const answer = call();
        if (isAnswered) this.#bringBack(() => answered(answer));
      } catch (error) {
        this.#broken(error);
      }
    };
    const isAnswered = !random.chance(answerLost);
    // Whoever sends again gets the answer of the first attempt or of the second.
    const answersFirst = random.chance(0.5);
    const isTwice = random.chance(twice);
    this.#travel(late, () => execute(isAnswered && (answersFirst || !isTwice)));
    if (isTwice) this.#travel(late, () => execute(isAnswered && !answersFirst));
  }

  #bringBack(arrive: () => void): void {
    if (this.partition === 'answers' || this.partition === 'both') return;
    this.#travel(0, arrive);
  }

  #travel(late: number, arrive: () => void): void {
    const delayMs = this.#random.chance(late) ? this.#random.fraction() * LATE_MS : this.#random.fraction() * TRIP_MS;
    this.#timeline.schedule(delayMs, arrive);
  }
}
