/** The time limit of one call including its retries, combined with the caller's own signal. */
export class TimeLimit {
  readonly #controller = new AbortController();
  readonly #endsAtMs: number;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #callers: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.#callers?.reason);

  constructor(timeoutMs: number, callers: AbortSignal | undefined) {
    this.#endsAtMs = performance.now() + timeoutMs;
    this.#callers = callers;
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    if (callers?.aborted === true) this.#onAbort();
    else callers?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Fires at the time limit or with the caller's signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the caller's signal ended the call. */
  get abortedByCaller(): boolean {
    return this.#callers?.aborted === true;
  }

  get remainingMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.#endsAtMs - performance.now());
  }

  /** Waits, at most until the time limit. @returns whether there is time left. */
  async pause(ms: number): Promise<boolean> {
    if (ms >= this.remainingMs) return false;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.signal.addEventListener('abort', done, { once: true });
    });
    return this.remainingMs > 0;
  }

  /** Must be called when the call has ended: releases the timer and the caller's signal. */
  end(): void {
    clearTimeout(this.#timer);
    this.#callers?.removeEventListener('abort', this.#onAbort);
  }
}
