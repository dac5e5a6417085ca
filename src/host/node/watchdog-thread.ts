/** The thread of `watchdog.ts`. */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import type { Watch } from './watchdog.ts';

const FATAL = 60;
const STDERR = 2;
const { beats, limitMs, lookMs } = workerData as Watch;

let seen = Atomics.load(beats, 0);
let usedMs = processorMs();
/** A stopped process made no observation in that time. */
let looks = 0;

setInterval(() => {
  const beat = Atomics.load(beats, 0);
  const nowMs = processorMs();
  if (beat !== seen) {
    seen = beat;
    usedMs = nowMs;
    looks = 0;
    return;
  }
  looks++;
  if (looks * lookMs < limitMs || nowMs - usedMs < limitMs) return;
  const msg = `the event loop has stood for ${limitMs / 1000} s: this process ends, and its next start recovers everything`;
  writeSync(STDERR, `${JSON.stringify({ level: FATAL, time: Date.now(), msg })}\n`);
  process.kill(process.pid, 'SIGKILL');
}, lookMs);

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
