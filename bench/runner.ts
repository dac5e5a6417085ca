/**
 * Runs rows: round by round, and in every round the contenders one after the other, so that whatever else the machine
 * does meets all of them. After each row the stored sums are compared with the acknowledged ones.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SumMismatch } from './ledger.ts';
import type { Row, Sample } from './row.ts';
import type { Bench } from './work/bench.ts';
import { perform, setupOf } from './work/perform.ts';

/** What other processes may take of the machine, in cores, before a round counts as disturbed. */
const OTHERS_CPU_MAX = 0.1;
const RETRY_MS = 3_000;

export interface RowResult {
  readonly row: Row;
  /** Per contender, per round. Empty when the row failed. */
  readonly samples: readonly (readonly Sample[])[];
  /** Why there are no samples. */
  readonly failure: string | undefined;
}

export type Progress = (line: string) => void;

export interface RunOptions {
  readonly rounds: number;
  /** How many rounds of a row may be measured again because other processes disturbed them. */
  readonly retries: number;
}

/**
 * @throws SumMismatch at once, since nothing that was measured means anything then. Whatever else keeps a row from
 *   being measured is that row's result, and the others are measured all the same.
 */
export async function runRows(
  rows: readonly Row[],
  options: RunOptions,
  bench: Bench,
  progress: Progress,
): Promise<RowResult[]> {
  const results: RowResult[] = [];
  for (const row of rows) {
    const setups = row.contenders.map(({ work }) => setupOf(work)).filter((setup) => setup !== undefined);
    await bench.targets.keepOnly(setups);
    try {
      const samples = await runRow(row, options, bench, progress);
      bench.onVerified(await bench.targets.verify());
      results.push({ row, samples, failure: undefined });
    } catch (error) {
      if (error instanceof SumMismatch) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      progress(`${row.name}: FAILED: ${reason}`);
      // What a server said before it died may name the directories of this machine.
      results.push({ row, samples: [], failure: reason.split('\n', 1)[0] });
      // What was acknowledged before the failure is not known, so these servers can't be asked for their sums.
      await bench.supervisor.stopAllBut(bench.generator.pid);
      await bench.targets.keepOnly([]);
    }
  }
  await bench.targets.keepOnly([]);
  return results;
}

async function runRow(row: Row, options: RunOptions, bench: Bench, progress: Progress): Promise<Sample[][]> {
  const rounds = Math.min(options.rounds, row.roundsMax ?? options.rounds);
  const samples: Sample[][] = row.contenders.map(() => []);
  let retries = options.retries;
  for (let round = 0; round < rounds; ) {
    const taken: Sample[] = [];
    for (const { label, work } of row.contenders) {
      const sample = await perform(work, { ...bench, seed: bench.seed + round });
      taken.push(sample);
      progress(`${row.name}, round ${round + 1} of ${rounds}: ${label}: ${inShort(sample)}`);
    }
    if (retries > 0 && taken.some(({ othersCpu = 0 }) => othersCpu > OTHERS_CPU_MAX)) {
      retries -= 1;
      progress(`${row.name}, round ${round + 1} of ${rounds}: disturbed by other processes, once more`);
      await delay(RETRY_MS);
      continue;
    }
    for (const [at, sample] of taken.entries()) samples[at].push(sample);
    round += 1;
  }
  return samples;
}

function inShort(sample: Sample): string {
  const entries = Object.entries(sample).filter(([metric]) => !HIDDEN.includes(metric));
  return entries.map(([metric, value]) => `${metric} ${Number(value.toPrecision(4)).toLocaleString('en')}`).join(', ');
}

const HIDDEN: readonly string[] = ['latencyP50', 'latencyP999', 'latencyMax'];
