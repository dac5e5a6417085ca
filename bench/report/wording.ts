/** Numbers as people read them. */
import { type Goal, METRICS, type Metric } from '../row.ts';
import type { Spread } from './summary.ts';

const STEPS: readonly (readonly [number, string])[] = [
  [1e9, ' G'],
  [1e6, ' M'],
  [1e3, ' k'],
];

/** Three digits and a unit. */
export function quantity(value: number, metric: Metric): string {
  const { unit } = METRICS[metric];
  if (unit === '/s') {
    const [size, letter] = STEPS.find(([least]) => value >= least) ?? [1, ' '];
    return `${threeDigits(value / size)}${letter}${unit}`;
  }
  return unit === 'share' ? `${threeDigits(value * 100)} %` : `${threeDigits(value)} ${unit}`;
}

/** The median, and in brackets the least and the most when they differ. */
export function spread(values: Spread, show: (value: number) => string): string {
  const middle = show(values.median);
  const [least, most] = [show(values.least), show(values.most)];
  return least === most ? middle : `${middle} (${least} to ${most})`;
}

export function times(value: number): string {
  return `${threeDigits(value)} x`;
}

/** `at least 1.8 x`. */
export function goalText({ metric, of, target, stretch }: Goal): string {
  if (target === undefined) return '';
  const show = (value: number): string => (of === 'ratio' ? times(value) : quantity(value, metric));
  const bound = METRICS[metric].better === 'more' ? 'at least' : 'at most';
  return `${bound} ${show(target)}${stretch === undefined ? '' : `, stretch ${show(stretch)}`}`;
}

function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 3;
  return value.toFixed(digits);
}
