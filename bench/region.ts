/**
 * `npm run bench:region`: what a region does over real stores on this machine: convergence, traffic, recovery, what a
 * lost disk takes along, and more counters than memory. Prints JSON and tables; with --output it writes them to
 * docs/benchmarks/region.md and .json.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { processorModel } from './machine/processor.ts';
import { convergence } from './region/convergence.ts';
import type { Figure, Line } from './region/figures.ts';
import { loss } from './region/loss.ts';
import { memory } from './region/memory.ts';
import { recovery } from './region/recovery.ts';
import { traffic } from './region/traffic.ts';

const FIGURES: readonly Figure[] = [traffic, convergence, recovery, loss, memory];
const NAMES = FIGURES.map(({ name }) => name);
/** The other one takes 20 GB of disk and a quarter of an hour. */
const BY_ITSELF = FIGURES.filter((figure) => figure !== memory).map(({ name }) => name);
const REPORTS = new URL('../docs/benchmarks/', import.meta.url);
const HELP = `npm run bench:region -- [options]

  --figures NAMES  these of ${NAMES.join(', ')}, separated by commas; unless told all
                   but memory, which takes 20 GB of disk and a quarter of an hour
  --quick          less of everything: does it work? Not for numbers.
  --output         write docs/benchmarks/region.md and region.json
  --help
`;

interface Measured {
  readonly date: string;
  /** Processes that wanted to run, on average, when it began. */
  readonly load: number;
  readonly lines: readonly Line[];
}

const { values } = parseArgs({
  options: {
    figures: { type: 'string' },
    quick: { type: 'boolean', default: false },
    output: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const wanted = values.figures?.split(',') ?? BY_ITSELF;
if (values.help || !wanted.every((name) => NAMES.includes(name))) process.stdout.write(HELP);
else await main(wanted, values.quick, values.output);

async function main(names: readonly string[], isQuick: boolean, isWritten: boolean): Promise<void> {
  const since = performance.now();
  const progress = (text: string): void => {
    process.stderr.write(`${String(Math.round((performance.now() - since) / 1000)).padStart(4)} s  ${text}\n`);
  };
  const measured: Record<string, Measured> = {};
  for (const figure of FIGURES.filter(({ name }) => names.includes(name))) {
    const load = Number((loadavg()[0] ?? 0).toFixed(1));
    const lines = await figure.measure({ isQuick, progress });
    measured[figure.name] = { date: new Date().toISOString().slice(0, 10), load, lines };
    if (isWritten) write(measured);
  }
  process.stdout.write(`${JSON.stringify(measured, undefined, 2)}\n\n${document(measured)}`);
}

function write(measured: Readonly<Record<string, Measured>>): void {
  // Figures that were not measured now stay as they are.
  const file = fileURLToPath(new URL('region.json', REPORTS));
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Measured>) : {};
  const all = { ...kept, ...measured };
  const machine = { cpus: cpus().length, processor: processorModel() };
  writeFileSync(file, `${JSON.stringify({ ...all, ...machine }, undefined, 2)}\n`);
  writeFileSync(fileURLToPath(new URL('region.md', REPORTS)), document(all));
}

function document(measured: Readonly<Record<string, Measured>>): string {
  const intro = `# A region in figures

\`npm run bench:region\` prints these; [region.json](region.json) has them as data. Everything ran on one machine: the nodes, the
store (PostgreSQL: one server; Redis Cluster: three masters, three replicas) and whoever asks them, on ${cpus().length} cores that other work
shared (the load of the machine when each began stands below it). So the times say what happens, not how fast it can be; what is counted
is the same anywhere.
`;
  const sections = FIGURES.flatMap((figure) => {
    const result = measured[figure.name];
    return result === undefined ? [] : [section(figure, result)];
  });
  return [intro, ...sections].join('\n');
}

function section({ title, about }: Figure, { date, load, lines }: Measured): string {
  const columns = [...new Set(lines.flatMap((line) => Object.keys(line)))];
  const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |\n`;
  const body = lines.map((line) => row(columns.map((column) => shown(line[column]))));
  const table = `${row(columns)}${row(columns.map(() => '---'))}${body.join('')}`;
  return `## ${title}\n\n${about}\n\n${table}\nMeasured ${date}; the machine's load was ${load} when it began.\n`;
}

function shown(cell: string | number | undefined): string {
  return typeof cell === 'number' ? cell.toLocaleString('en') : (cell ?? '');
}
