/** The report on disk: JSON for programs, Markdown and a plot for people. Says nothing about whose machine it was. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RowResult } from '../runner.ts';
import { plot } from './plot.ts';
import type { Line, Spread } from './summary.ts';
import { markdownTable } from './table.ts';

export interface Circumstances {
  readonly date: string;
  readonly cpus: number;
  readonly processor: string;
  readonly isPinned: boolean;
  readonly versions: Readonly<Record<'node' | 'redis' | 'tallyd', string>>;
  readonly rounds: number;
  readonly seed: number;
  readonly seconds: number;
  readonly sumsVerified: number;
  /**
   * CPU that other processes took during the measurements, in cores: the spread; undefined when nothing was measured.
   */
  readonly othersCpu: Spread | undefined;
}

const FORMAT = 1;

/** Writes three files of that name into the directory: JSON, Markdown and SVG. */
export function writeReport(
  directory: string,
  name: string,
  circumstances: Circumstances,
  results: readonly RowResult[],
  lines: readonly Line[],
): void {
  mkdirSync(directory, { recursive: true });
  const rows = results.map(({ row, samples, failure }) => ({
    name: row.name,
    title: row.title,
    failure,
    contenders: row.contenders.map(({ label }, at) => ({ label, rounds: samples[at] ?? [] })),
  }));
  const json = { format: FORMAT, ...circumstances, lines: lines.map(({ title, ...line }) => line), rows };
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(json, rounded, 2)}\n`);
  writeFileSync(join(directory, `${name}.svg`), plot(lines, sentence(circumstances)));
  const text = ['# What was measured', '', `${sentence(circumstances)}.`, '', markdownTable(lines, results), ''];
  writeFileSync(join(directory, `${name}.md`), text.join('\n'));
}

/** One line about where the numbers come from. */
export function sentence({
  date,
  cpus,
  processor,
  isPinned,
  versions,
  rounds,
  sumsVerified,
  othersCpu,
}: Circumstances): string {
  const where = `${cpus} CPUs (${processor})${isPinned ? '' : ', nothing pinned'}`;
  const what = `Tallyd ${versions.tallyd}, Node ${versions.node}, Redis ${versions.redis}`;
  const how = `${rounds} round${rounds === 1 ? '' : 's'}; ${sumsVerified} stored sums equal to the acknowledged ones`;
  if (othersCpu === undefined) return `${date}: ${what}; ${where}; ${how}`;
  const noise = `other processes took ${othersCpu.median.toFixed(2)} cores in the median, ${othersCpu.most.toFixed(2)} at most`;
  return `${date}: ${what}; ${where}; ${how}; ${noise}`;
}

/** Six digits are more than any of these numbers is worth. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
