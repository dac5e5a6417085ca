/**
 * One process of a simulated region: its own view of the one timeline, and a gate that everything passes that comes to
 * it from outside: timers, the disk, the network. A paused process lets nothing in until it goes on, and then
 * everything at once; a dead one lets nothing in any more.
 */
import type { Clock, Disk, DiskFile, Host, Random, Timer } from '../../src/host/host.ts';
import { SeededRandom } from '../../src/std/random.ts';
import type { SimulatedClock } from './host.ts';

const SKEW_MS_MAX = 3_600_000;

export class SimulatedProcess implements Host {
  readonly clock: ProcessClock;
  readonly random: Random;
  readonly #waiting: (() => void)[] = [];
  #state: 'running' | 'paused' | 'dead' = 'running';

  /** @param clocksAgree its time of day is that of the timeline */
  constructor(timeline: SimulatedClock, seed: number, clocksAgree = false) {
    const random = new SeededRandom(seed);
    this.random = { bytes: (length) => Uint8Array.from({ length }, () => random.below(256)) };
    const offsetMs = random.below(1_000_000);
    const skewMs = clocksAgree ? 0 : random.below(2 * SKEW_MS_MAX) - SKEW_MS_MAX;
    this.clock = new ProcessClock(timeline, offsetMs, skewMs, (callback) => this.enter(callback));
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    for (const callback of this.#waiting.splice(0)) callback();
  }

  die(): void {
    this.#state = 'dead';
    this.#waiting.length = 0;
  }

  /** Calls back at once, when the process goes on, or never. */
  enter(callback: () => void): void {
    if (this.#state === 'running') callback();
    else if (this.#state === 'paused') this.#waiting.push(callback);
  }

  /** What comes back from outside. */
  answer<Answer>(work: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      work.then(
        (answer) => this.enter(() => resolve(answer)),
        (error: unknown) => this.enter(() => reject(error)),
      );
    });
  }

  /** A disk as this process sees it. */
  diskOf(disk: Disk): Disk {
    const file = (inner: DiskFile): DiskFile => ({
      size: () => this.answer(inner.size()),
      read: (target, position) => this.answer(inner.read(target, position)),
      write: (bytes, position) => this.answer(inner.write(bytes, position)),
      sync: () => this.answer(inner.sync()),
      truncate: (size) => this.answer(inner.truncate(size)),
      hasName: (name) => this.answer(inner.hasName(name)),
      close: () => this.answer(inner.close()),
    });
    return {
      list: () => this.answer(disk.list()),
      open: async (name, mode) => file(await this.answer(disk.open(name, mode))),
      rename: (from, to) => this.answer(disk.rename(from, to)),
      unlink: (name) => this.answer(disk.unlink(name)),
      syncDirectory: () => this.answer(disk.syncDirectory()),
    };
  }
}

/** The timeline, begun at another moment and with another time of day. */
class ProcessClock implements Clock {
  readonly #timeline: SimulatedClock;
  readonly #monotonicOffsetMs: number;
  readonly #enter: (callback: () => void) => void;
  #wallOffsetMs: number;

  constructor(
    timeline: SimulatedClock,
    monotonicOffsetMs: number,
    wallOffsetMs: number,
    enter: (callback: () => void) => void,
  ) {
    this.#timeline = timeline;
    this.#monotonicOffsetMs = monotonicOffsetMs;
    this.#wallOffsetMs = wallOffsetMs;
    this.#enter = enter;
  }

  nowMs(): number {
    return this.#timeline.nowMs() + this.#wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#timeline.monotonicMs() + this.#monotonicOffsetMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const timer = this.#timeline.schedule(delayMs, () => this.#enter(() => !isCancelled && callback()));
    const cancel = (): void => {
      isCancelled = true;
      timer.cancel();
    };
    return { cancel };
  }

  soon(callback: () => void): void {
    this.#timeline.soon(() => this.#enter(callback));
  }

  /** The wall clock is set. */
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
