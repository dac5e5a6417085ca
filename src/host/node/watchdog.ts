/**
 * Ends this process when its event loop is stuck. A spinning fault answers no request and not even SIGTERM, and nothing
 * else would notice it; the next start recovers everything. A thread watches, because the loop itself cannot.
 *
 * A stuck loop is detected by processor time, not by a clock: a stopped process (SIGSTOP, a suspended machine, a
 * breakpoint) uses none, and on a busy machine a long turn may take as long as it needs.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

/** Beats and checks per limit. */
const BEATS_PER_LIMIT = 10;
/** The thread needs almost no heap. */
const HEAP_MB = 8;

/** The data passed to the thread. */
export interface Watch {
  /** One number that grows with every beat. */
  readonly beats: Int32Array;
  readonly limitMs: number;
  readonly lookMs: number;
}

export class Watchdog {
  readonly #timer: NodeJS.Timeout;
  readonly #thread: Worker;

  /** @param limitMs processor time without a turn of the loop */
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
      // Without the thread, only people can notice a stuck loop.
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#thread.terminate();
  }
}
