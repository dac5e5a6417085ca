/**
 * Time and chance from one seed, so that a run can be repeated. Nothing happens by itself: whoever drives the run
 * calls `advance`, which fires timers in the order of their time and lets all promises settle in between.
 */
import type { Clock, Host, Random, Timer } from '../../src/host/host.ts';
import { SeededRandom } from '../../src/std/random.ts';

interface Scheduled extends Timer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class SimulatedClock implements Clock {
  #monotonicMs = 0;
  #wallMs: number;
  #order = 0;
  readonly #timers = new Set<Scheduled>();
  #soon: (() => void)[] = [];

  /** @param startMs wall-clock time at the start, Unix ms. */
  constructor(startMs = 1_700_000_000_000) {
    this.#wallMs = startMs;
  }

  nowMs(): number {
    return Math.floor(this.#wallMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const timer: Scheduled = {
      atMs: this.#monotonicMs + Math.max(0, delayMs),
      order: this.#order++,
      callback,
      cancel: () => this.#timers.delete(timer),
    };
    this.#timers.add(timer);
    return timer;
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** The wall clock is set. */
  jump(byMs: number): void {
    this.#wallMs += byMs;
  }

  /** Lets so much time pass. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#monotonicMs + byMs;
    for (;;) {
      await this.settle();
      const timer = this.#next();
      if (timer === undefined || timer.atMs > endMs) break;
      this.#timers.delete(timer);
      this.#passTo(timer.atMs);
      timer.callback();
    }
    this.#passTo(endMs);
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    do {
      const due = this.#soon;
      this.#soon = [];
      for (const callback of due) callback();
      // All promises settle before the event loop comes back here.
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.#soon.length > 0);
  }

  #next(): Scheduled | undefined {
    let next: Scheduled | undefined;
    for (const timer of this.#timers) {
      const isEarlier =
        next === undefined || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order);
      if (isEarlier) next = timer;
    }
    return next;
  }

  #passTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

class SimulatedRandom implements Random {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random.below(256));
  }
}

export interface SimulatedHost extends Host {
  readonly clock: SimulatedClock;
}

export function simulatedHost(seed: number): SimulatedHost {
  return { clock: new SimulatedClock(), random: new SimulatedRandom(seed) };
}
