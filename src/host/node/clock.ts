/** The `Clock` port on Node's timers. */
import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../host.ts';

/** The longest delay of `setTimeout`; a longer one fires at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

export class NodeClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return new NodeTimer(delayMs, callback);
  }

  soon(callback: () => void): void {
    setImmediate(callback);
  }
}

class NodeTimer implements Timer {
  #handle: NodeJS.Timeout;

  constructor(delayMs: number, callback: () => void) {
    this.#handle = this.#arm(delayMs, callback);
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  /** A delay longer than `setTimeout` allows is split. */
  #arm(delayMs: number, callback: () => void): NodeJS.Timeout {
    const part = Math.min(delayMs, DELAY_MS_MAX);
    return setTimeout(() => {
      if (delayMs === part) callback();
      else this.#handle = this.#arm(delayMs - part, callback);
    }, part).unref();
  }
}
