/** A steady load for a long time: the memory must not grow. */
import { residentBytesOf } from '../machine/processor.ts';
import type { Sample } from '../row.ts';
import { CONNECTIONS } from '../targets.ts';
import type { Bench } from './bench.ts';
import { runClosed } from './closed.ts';

const STEP_MS = 10_000;
/** The heap takes its size in the beginning; what it does afterwards is the question. */
const SETTLED_FROM = 1 / 3;
const MS_PER_HOUR = 3_600_000;

interface Observation {
  readonly atMs: number;
  readonly residentBytes: number;
}

export async function measureSteady(bench: Bench, minutes: number): Promise<Sample> {
  const target = await bench.targets.get('tallyd-always');
  const observations: Observation[] = [];
  const load = { kind: 'mixed', pipeline: 16, connections: CONNECTIONS } as const;
  const durationMs = Math.min(STEP_MS, minutes * 60_000 * 0.05);
  const since = performance.now();
  let operations = 0;
  let seconds = 0;
  while (performance.now() - since < minutes * 60_000) {
    const measured = await runClosed(bench, target, load, { warmUpMs: 0, durationMs });
    operations += measured.operations;
    seconds += measured.seconds;
    observations.push({ atMs: performance.now() - since, residentBytes: residentBytesOf(target.server.pid) });
  }
  const settled = observations.slice(Math.floor(observations.length * SETTLED_FROM));
  return { rate: operations / seconds, memoryGrowth: growthPerHour(settled) };
}

/** The slope of the line through the observations, as a share of their mean. */
function growthPerHour(observations: readonly Observation[]): number {
  const mean = (pick: (observation: Observation) => number): number =>
    observations.reduce((sum, observation) => sum + pick(observation), 0) / observations.length;
  const meanAt = mean(({ atMs }) => atMs);
  const meanBytes = mean(({ residentBytes }) => residentBytes);
  const covariance = mean(({ atMs, residentBytes }) => (atMs - meanAt) * (residentBytes - meanBytes));
  const variance = mean(({ atMs }) => (atMs - meanAt) ** 2);
  return variance === 0 ? 0 : ((covariance / variance) * MS_PER_HOUR) / meanBytes;
}
