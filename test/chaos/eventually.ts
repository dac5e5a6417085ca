// Waiting for what must happen, on however busy a machine.

import { setTimeout as sleep } from 'node:timers/promises';

const ASK_AGAIN_MS = 50;
const PATIENCE_MS = 60_000;

/** Until it holds; what cannot be asked does not hold yet. @throws Error that says what was waited for */
export async function eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  let failure: unknown;
  while (performance.now() < endMs) {
    try {
      if (await holds()) return;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await sleep(ASK_AGAIN_MS);
  }
  throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`, { cause: failure });
}
