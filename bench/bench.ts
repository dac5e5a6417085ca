/**
 * `npm run bench`: measures Tallyd beside redis-server, alternating between them in one run, and prints what came out
 * with the goals beside it. Ends with exit code 1 when a stored sum is not the acknowledged one, or a row failed; a
 * goal that is missed is a result like any other.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { SumMismatch } from './ledger.ts';
import { GeneratorProcess } from './load/generator-process.ts';
import { processorModel, shareCores } from './machine/processor.ts';
import { Supervisor } from './machine/supervisor.ts';
import { type BenchOptions, parseOptions, selectRows, UsageError } from './options.ts';
import { type Circumstances, sentence, writeReport } from './report/files.ts';
import { spreadOf, summarize } from './report/summary.ts';
import { terminalTable } from './report/table.ts';
import { ROWS } from './rows.ts';
import { runRows } from './runner.ts';
import { Targets } from './targets.ts';
import type { Bench } from './work/bench.ts';

const NAMES = 1_000_000;
const TIMES = { warmUpMs: 500, durationMs: 2_000 };
const QUICK_TIMES = { warmUpMs: 200, durationMs: 400 };
const QUICK_SHRINK = 10;
const REPORTS = fileURLToPath(new URL('../docs/benchmarks', import.meta.url));
const TEMPORARY = fileURLToPath(new URL('../node_modules/.cache', import.meta.url));

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args, ROWS);
  if (typeof options === 'string') {
    process.stdout.write(options);
    return 0;
  }
  const rows = selectRows(ROWS, options);
  const since = performance.now();
  let sumsVerified = 0;
  const bench = openBench(options, (servers) => {
    sumsVerified += servers;
  });
  process.stdout.write(`${rows.length} rows, ${options.rounds} rounds, seed ${options.seed}\n`);
  const progress = (text: string): void => {
    const seconds = Math.round((performance.now() - since) / 1000);
    process.stdout.write(`${String(seconds).padStart(4)} s  ${text}\n`);
  };
  const results = await runRows(rows, options, bench, progress);
  await bench.generator.stop();
  const others = results.flatMap(({ samples }) => samples.flat().flatMap((sample) => sample.othersCpu ?? []));
  const circumstances: Circumstances = {
    date: new Date().toISOString().slice(0, 10),
    cpus: cpus().length,
    processor: processorModel(),
    isPinned: bench.cores.server !== undefined,
    versions: { node: process.versions.node, redis: redisVersion(), tallyd: tallydVersion() },
    rounds: options.rounds,
    seed: options.seed,
    seconds: Math.round((performance.now() - since) / 1000),
    sumsVerified,
    othersCpu: others.length === 0 ? undefined : spreadOf(others),
  };
  const lines = summarize(results);
  process.stdout.write(`\n${terminalTable(lines, results)}${sentence(circumstances)}.\n`);
  const isWhole = options.patterns === undefined && !options.isQuick && options.profile === undefined;
  const output = options.output ?? (isWhole ? REPORTS : undefined);
  if (output !== undefined) {
    writeReport(output, options.isLarge ? 'large' : 'results', circumstances, results, lines);
  }
  return results.some(({ failure }) => failure !== undefined) ? 1 : 0;
}

function openBench(options: BenchOptions, onVerified: Bench['onVerified']): Bench {
  const supervisor = new Supervisor(TEMPORARY);
  const cores = shareCores();
  const generator = new GeneratorProcess(supervisor, cores.load);
  const nodeOptions = options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile];
  const names = options.isQuick ? NAMES / QUICK_SHRINK : NAMES;
  return {
    supervisor,
    cores,
    generator,
    names,
    targets: new Targets(supervisor, generator, cores, names, nodeOptions),
    times: options.isQuick ? QUICK_TIMES : TIMES,
    shrink: options.isQuick ? QUICK_SHRINK : 1,
    seed: options.seed,
    onVerified,
  };
}

function redisVersion(): string {
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  return /v=(\S+)/.exec(stdout ?? '')?.[1] ?? 'not installed';
}

function tallydVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SumMismatch) && !(error instanceof UsageError)) throw error;
  process.stderr.write(`\ntallyd bench: ${error.message}\n`);
  process.exit(1);
}
