/** The disk alone, as the journal uses it: blocks appended to a file, each followed by fdatasync. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createHistogram } from 'node:perf_hooks';
import type { Sample } from '../row.ts';
import type { Bench } from './bench.ts';

const BLOCK_BYTES = 4096;
const NANOSECONDS_PER_MS = 1e6;

/** Synchronous on purpose: nothing between the disk and the clock. Nothing else runs in the benchmark meanwhile. */
export function measureDisk({ supervisor, times }: Bench): Sample {
  const directory = supervisor.temporaryDirectory();
  const file = openSync(join(directory, 'probe'), 'wx');
  const latency = createHistogram();
  const block = Buffer.alloc(BLOCK_BYTES, 1);
  const until = performance.now() + times.durationMs;
  let syncs = 0;
  const since = performance.now();
  for (let now = since; now < until; syncs++) {
    writeSync(file, block, 0, BLOCK_BYTES, syncs * BLOCK_BYTES);
    fdatasyncSync(file);
    const after = performance.now();
    latency.record(Math.max(1, Math.round((after - now) * NANOSECONDS_PER_MS)));
    now = after;
  }
  const seconds = (performance.now() - since) / 1000;
  closeSync(file);
  supervisor.removeDirectory(directory);
  return {
    rate: syncs / seconds,
    latencyP50: latency.percentile(50) / NANOSECONDS_PER_MS,
    latencyP99: latency.percentile(99) / NANOSECONDS_PER_MS,
    latencyP999: latency.percentile(99.9) / NANOSECONDS_PER_MS,
    latencyMax: latency.max / NANOSECONDS_PER_MS,
  };
}
