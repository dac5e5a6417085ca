/** The report as a table: for the terminal and, the same, as Markdown. */
import Table from 'cli-table3';
import { METRICS } from '../row.ts';
import type { RowResult } from '../runner.ts';
import type { Line } from './summary.ts';
import { goalText, quantity, spread, times } from './wording.ts';

const COLUMNS = ['row', 'what', 'compared with', 'Tallyd', 'ratio', 'goal', '', 'by CPU', 'generator'] as const;
const VERDICTS: Readonly<Record<Line['verdict'], string>> = {
  stretch: 'stretch met',
  met: 'met',
  missed: 'MISSED',
  'no goal': '',
};

/** For the terminal. */
export function terminalTable(lines: readonly Line[], results: readonly RowResult[]): string {
  const table = new Table({ head: [...COLUMNS], style: { head: [], border: [], compact: true } });
  for (const line of lines) table.push(cells(line));
  return `${table.toString()}\n${failures(results)
    .map((text) => `${text}\n`)
    .join('')}`;
}

/** For docs/benchmarks. */
export function markdownTable(lines: readonly Line[], results: readonly RowResult[]): string {
  const rows = [COLUMNS, COLUMNS.map(() => '---'), ...lines.map(cells)];
  const table = rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
  const missing = failures(results).map((text) => `- ${text}`);
  return [table, ...(missing.length === 0 ? [] : ['', ...missing])].join('\n');
}

function cells(line: Line): string[] {
  const { row, metric, other, subject, ratio, goal, verdict, cpuRatio } = line;
  const show = (value: number): string => quantity(value, metric);
  return [
    row,
    METRICS[metric].title,
    other === undefined ? '' : `${other.label}: ${spread(other.spread, show)}`,
    spread(subject.spread, show),
    ratio === undefined ? '' : spread(ratio, times),
    goalText(goal),
    VERDICTS[verdict],
    cpuRatio === undefined ? '' : spread(cpuRatio, times),
    generator(line),
  ];
}

/** Whether the load generator kept up. At a given rate it spins, so its CPU says nothing there. */
function generator({ generatorCpu, sentLate }: Line): string {
  if (sentLate !== undefined) return `${quantity(sentLate, 'sentLate')} late`;
  return generatorCpu === undefined ? '' : `${Math.round(generatorCpu * 100)} % CPU`;
}

function failures(results: readonly RowResult[]): string[] {
  return results.flatMap(({ row, failure }) => (failure === undefined ? [] : [`${row.name} failed: ${failure}`]));
}
