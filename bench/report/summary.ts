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
  /** Shares of one core, in the median; undefined where there is no load generator. */
  readonly generatorCpu: number | undefined;
}

/** One line per goal of every row that was measured. */
export function summarize(results: readonly RowResult[]): Line[] {
  return results.flatMap((result) =>
    result.failure === undefined ? result.row.goals.map((goal) => line(result, goal)) : [],
  );
}

function line({ row, samples }: RowResult, goal: Goal): Line {
  const { metric } = goal;
  const subjectAt = samples.length - 1;
  const subject = valuesOf(samples[subjectAt], metric);
  const isRatio = goal.of === 'ratio';
  const other = isRatio ? valuesOf(samples[0], metric) : [];
  const ratio = isRatio ? spreadOf(subject.map((value, round) => value / other[round])) : undefined;
  const generatorCpu = samples.flatMap((list) => list.map((sample) => sample.generatorCpu ?? Number.NaN));
  return {
    row: row.name,
    title: row.title,
    metric,
    goal,
    other: isRatio ? { label: row.contenders[0].label, spread: spreadOf(other) } : undefined,
    subject: { label: row.contenders[subjectAt].label, spread: spreadOf(subject) },
    ratio,
    verdict: verdictOf(goal, (ratio ?? spreadOf(subject)).median),
    generatorCpu: generatorCpu.some(Number.isNaN) ? undefined : Math.max(...generatorCpu),
  };
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
