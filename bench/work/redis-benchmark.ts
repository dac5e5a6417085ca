/**
 * redis-benchmark as a witness: it is not ours, and it must find the same order. It sends exactly as many commands
 * as it is told when that is a multiple of the pipeline, so the sum holds for it, too.
 */
import { once } from 'node:events';
import { cpuSecondsOf, cpuSecondsOfEndedChildren } from '../machine/processor.ts';
import type { Sample } from '../row.ts';
import type { SetupName } from '../servers/server.ts';
import { CONNECTIONS } from '../targets.ts';
import type { Bench } from './bench.ts';

const FIRST_COMMANDS = 40_000;
const COLUMNS = ['rate', 'average', 'least', 'latencyP50', 'latencyP95', 'latencyP99', 'latencyMax'] as const;
type Column = (typeof COLUMNS)[number];

export async function measureWithRedisBenchmark(bench: Bench, setup: SetupName, pipeline: number): Promise<Sample> {
  const target = await bench.targets.get(setup);
  const { pid, respPort: port } = target.server;
  if (port === undefined) throw new Error(`${setup} does not speak RESP`);
  const run = async (about: number): Promise<Record<Column, number> & { readonly commands: number }> => {
    const commands = Math.max(1, Math.round(about / pipeline / CONNECTIONS)) * pipeline * CONNECTIONS;
    const row = await runRedisBenchmark(bench, port, pipeline, commands);
    target.acknowledged += BigInt(commands);
    return { ...row, commands };
  };
  const first = await run(FIRST_COMMANDS * Math.min(pipeline, 16));
  const serverCpuBefore = cpuSecondsOf(pid);
  const generatorCpuBefore = cpuSecondsOfEndedChildren();
  const { commands, rate, latencyP50, latencyP99, latencyMax } = await run(
    (first.rate * bench.times.durationMs) / 1000,
  );
  const seconds = commands / rate;
  const serverCpu = (cpuSecondsOf(pid) - serverCpuBefore) / seconds;
  const generatorCpu = (cpuSecondsOfEndedChildren() - generatorCpuBefore) / seconds;
  return { rate, latencyP50, latencyP99, latencyMax, serverCpu, generatorCpu, ratePerServerCpu: rate / serverCpu };
}

async function runRedisBenchmark(
  { supervisor, cores, names }: Bench,
  port: number,
  pipeline: number,
  commands: number,
): Promise<Record<Column, number>> {
  const where = ['-h', '127.0.0.1', '-p', String(port), '-c', String(CONNECTIONS), '-P', String(pipeline)];
  const what = ['-n', String(commands), '-r', String(names), '--csv', 'INCR', 'key:__rand_int__'];
  const start = { command: 'redis-benchmark', args: [...where, ...what], core: cores.load };
  const child = supervisor.start(start, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  const [code] = await once(child, 'close');
  const cells = text.trim().split('\n').at(-1)?.split('","').slice(1) ?? [];
  if (code !== 0 || cells.length !== COLUMNS.length) throw new Error(`redis-benchmark ended with ${code}: ${text}`);
  const numbers = cells.map((cell) => Number.parseFloat(cell));
  return Object.fromEntries(COLUMNS.map((column, at) => [column, numbers[at]])) as Record<Column, number>;
}
