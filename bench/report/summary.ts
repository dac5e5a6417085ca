/** From samples to lines: medians, spreads, ratios, and whether the goal is met. */
import { type Goal, METRICS, type Metric, type Sample } from '../row.ts';
import type { RowResult } from '../runner.ts';

/** Of several rounds. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Line {
  readonly row: string;
  readonly title: string;
  readonly metric: Metric;
  readonly goal: Goal;
  /** Who is compared with, when the goal is a ratio. */
  readonly other: { readonly label: string; readonly spread: Spread } | undefined;
  readonly subject: { readonly label: string; readonly spread: Spread };
  /** Of the rounds' ratios, each of two measurements that follow each other. */
  readonly ratio: Spread | undefined;
  readonly verdict: 'stretch' | 'met' | 'missed' | 'no goal';
  /** Of a rate: the ratio of what each server did per second of its own CPU, which busy neighbours disturb less. */
  readonly cpuRatio: Spread | undefined;
  /** The most that the load generator took, in cores; undefined where there was none. */
  readonly generatorCpu: number | undefined;
  /** Of a given rate: the share of the commands that were not sent in time. */
  readonly sentLate: number | undefined;
}

/** One line per goal of every row that was measured. */
export function summarize(results: readonly RowResult[]): Line[] {
  return results.flatMap((result) =>
    result.failure === undefined ? result.row.goals.map((goal) => line(result, goal)) : [],
  );
}

function line({ row, samples }: RowResult, goal: Goal): Line {
  const { metric } = goal;
  const subject = samples[samples.length - 1];
  const other = goal.of === 'ratio' ? samples[0] : undefined;
  const reached = spreadOf(valuesOf(subject, metric));
  const ratio = other === undefined ? undefined : ratioOf(subject, other, metric);
  const hasCpu = metric === 'rate' && samples.flat().every(({ ratePerServerCpu }) => ratePerServerCpu !== undefined);
  return {
    row: row.name,
    title: row.title,
    metric,
    goal,
    other:
      other === undefined ? undefined : { label: row.contenders[0].label, spread: spreadOf(valuesOf(other, metric)) },
    subject: { label: row.contenders[samples.length - 1].label, spread: reached },
    ratio,
    verdict: verdictOf(goal, (ratio ?? reached).median),
    cpuRatio: hasCpu && other !== undefined ? ratioOf(subject, other, 'ratePerServerCpu') : undefined,
    generatorCpu: mostOf(samples.flat().map(({ generatorCpu }) => generatorCpu)),
    sentLate: mostOf(subject.map(({ sentLate }) => sentLate)),
  };
}

/** Round by round: the two measurements of a round follow each other. */
function ratioOf(subject: readonly Sample[], other: readonly Sample[], metric: Metric): Spread {
  const divisors = valuesOf(other, metric);
  return spreadOf(valuesOf(subject, metric).map((value, round) => value / divisors[round]));
}

function mostOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}

function valuesOf(samples: readonly Sample[], metric: Metric): number[] {
  return samples.map((sample) => {
    const value = sample[metric];
    if (value === undefined) throw new Error(`a goal names ${metric}, which was not measured`);
    return value;
  });
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
  return { median, least: sorted[0], most: sorted[sorted.length - 1] };
}

function verdictOf({ metric, target, stretch }: Goal, reached: number): Line['verdict'] {
  const isMet = (wanted: number): boolean =>
    METRICS[metric].better === 'more' ? reached >= wanted : reached <= wanted;
  if (target === undefined) return 'no goal';
  if (stretch !== undefined && isMet(stretch)) return 'stretch';
  return isMet(target) ? 'met' : 'missed';
}
