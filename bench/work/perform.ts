/** From a contender's work, which is data, to a sample. */
import { unreachable } from '../../src/std/assert.ts';
import type { Sample, Work } from '../row.ts';
import type { SetupName } from '../servers/server.ts';
import type { Bench } from './bench.ts';
import { measureClosed } from './closed.ts';
import { measureDisk } from './disk.ts';
import { measureEmbedded } from './embedded.ts';
import { measureGrowth } from './growth.ts';
import { measureLifecycle } from './lifecycle.ts';
import { measureMemory } from './memory.ts';
import { measurePaced } from './paced.ts';
import { measureWithRedisBenchmark } from './redis-benchmark.ts';
import { measureSteady } from './steady.ts';

/** Does the work once. @throws SumMismatch, and what kept a server from answering */
export async function perform(work: Work, bench: Bench): Promise<Sample> {
  switch (work.kind) {
    case 'closed':
      return measureClosed(bench, work.setup, work.load);
    case 'paced':
      return measurePaced(bench, work.setup);
    case 'redis-benchmark':
      return measureWithRedisBenchmark(bench, work.setup, work.pipeline);
    case 'disk':
      return measureDisk(bench);
    case 'embedded':
      return measureEmbedded(bench, Math.ceil(work.names / bench.shrink));
    case 'lifecycle':
      return measureLifecycle(bench, work.server, Math.ceil(work.names / bench.shrink));
    case 'memory':
      return measureMemory(bench, work.server, work.counter, Math.ceil(work.names / bench.shrink));
    case 'growth':
      return measureGrowth(bench, Math.ceil(work.names / bench.shrink));
    case 'steady':
      return measureSteady(bench, work.minutes / bench.shrink);
    default:
      return unreachable(work);
  }
}

/** The server that the work needs beside it, where rows share one. */
export function setupOf(work: Work): SetupName | undefined {
  return 'setup' in work ? work.setup : undefined;
}
