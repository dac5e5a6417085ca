/**
 * Ends this process when its event loop stands: a fault that spins answers nobody, not even SIGTERM, and keeps its lease from nobody
 * who would notice; the next start recovers everything. A thread looks on, since the loop itself cannot.
 *
 * Standing is measured by processor time, not by a clock: a process that is stopped (SIGSTOP, a suspended machine, a breakpoint) uses
 * none, and on a busy machine a long turn may take as long as it needs.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

/** Beats and looks within the limit. */
const BEATS_PER_LIMIT = 10;
/** The thread has next to nothing in its heap. */
const HEAP_MB = 8;

/** What the thread is given. */
export interface Watch {
  /** One number that grows with every beat. */
  readonly beats: Int32Array;
  readonly limitMs: number;
  readonly lookMs: number;
}

export class Watchdog {
  readonly #timer: NodeJS.Timeout;
  readonly #thread: Worker;

  /** @param limitMs of processor time without a turn of the loop */
  constructor(limitMs: number) {
    const beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const lookMs = limitMs / BEATS_PER_LIMIT;
    this.#timer = setInterval(() => Atomics.add(beats, 0, 1), lookMs).unref();
    const workerData: Watch = { beats, limitMs, lookMs };
    this.#thread = new Worker(new URL(`./watchdog-thread${extname(import.meta.url)}`, import.meta.url), {
      workerData,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 1 },
    });
    this.#thread.unref();
    this.#thread.on('error', () => {
      // Without it a loop that stands is what it was: for people to notice.
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#thread.terminate();
  }
}
