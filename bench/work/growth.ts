/**
 * One process from nothing to very many counters: what they take, how fast they still are, how long a restart lasts,
 * and whether anybody notices while it grows or writes a snapshot. The load is moderate in depth (few connections,
 * short pipelines), because a probe that waits behind thousands of commands would measure the queue and not a pause.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ProbeReport } from '../load/pause-probe.ts';
import type { Sample } from '../row.ts';
import { startServer } from '../servers/start.ts';
import { CONNECTIONS } from '../targets.ts';
import type { Bench } from './bench.ts';
import { runClosed } from './closed.ts';
import { Lifecycle } from './lifecycle.ts';

const PROBE = fileURLToPath(new URL('../load/pause-probe.ts', import.meta.url));
const GROWING = { connections: 16, pipeline: 64 };
const INCREMENTS = { kind: 'increment', pipeline: 128, connections: CONNECTIONS } as const;

export async function measureGrowth(bench: Bench, names: number): Promise<Sample> {
  const small = await bench.targets.get('tallyd-always');
  const fewNames = await runClosed(bench, small, INCREMENTS, bench.times);
  const life = new Lifecycle(bench, 'tallyd-always', names);
  await life.start();
  const growing = await watchPauses(bench, life.respPort, () => life.load(GROWING));
  const bytesPerCounter = await life.bytesPerCounter();
  const manyNames = await life.increment(INCREMENTS);
  const snapshot = await watchPauses(bench, life.respPort, () => life.snapshot());
  await life.server.stop();
  const restartCleanSeconds = await life.start();
  await life.verify();
  await life.remove();
  return {
    loadSeconds: growing.result,
    pauseGrowing: growing.pauseMs,
    bytesPerCounter,
    rateOfSmall: manyNames.operations / manyNames.seconds / (fewNames.operations / fewNames.seconds),
    pauseSnapshot: snapshot.pauseMs,
    restartCleanSeconds,
  };
}

/** Does the work, and tells by how much its p99.99 lay above that of an idle server on the same core. */
async function watchPauses<T>(
  { supervisor, cores }: Bench,
  port: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly pauseMs: number }> {
  const directory = supervisor.temporaryDirectory();
  const idle = await startServer('tallyd-off', directory, supervisor, cores.server);
  // Not pinned: it sleeps nearly all the time, and must not wait for the load generator.
  const start = { command: process.execPath, args: [PROBE, String(port), String(idle.respPort)], core: undefined };
  const probe = supervisor.start(start, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await once(probe, 'message');
  const result = await work();
  probe.send('report');
  const [[busyMs, idleMs]] = (await once(probe, 'message')) as [ProbeReport];
  await supervisor.stop(probe);
  await idle.stop();
  supervisor.removeDirectory(directory);
  return { result, pauseMs: busyMs - idleMs };
}
