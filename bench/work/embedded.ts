/** Rows that count inside a Node process. */
import { fileURLToPath } from 'node:url';
import { compareSums, readStored } from '../ledger.ts';
import type { Sample } from '../row.ts';
import { startServer } from '../servers/start.ts';
import type { Bench } from './bench.ts';

const PROGRAM = fileURLToPath(new URL('./embedded-process.ts', import.meta.url));

/** What the process is told. */
export interface EmbeddedOrder {
  readonly directory: string;
  readonly names: number;
  readonly seed: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** What it answers. */
export interface EmbeddedResult {
  readonly added: number;
  readonly rate: number;
  /** Cores. */
  readonly cpu: number;
}

/** The sum is read by a server that is started on the directory afterwards: so it is what a recovery finds. */
export async function measureEmbedded(bench: Bench, names: number): Promise<Sample> {
  const { supervisor, cores, times, seed } = bench;
  const directory = supervisor.temporaryDirectory();
  const order: EmbeddedOrder = { directory, names, seed, ...times };
  const start = { command: process.execPath, args: [PROGRAM, JSON.stringify(order)], core: cores.server };
  const { child, match } = await supervisor.startUntil(start, /^result (.*)$/m);
  const { added, rate, cpu } = JSON.parse(match[1] ?? '') as EmbeddedResult;
  await supervisor.stop(child);
  const server = await startServer('tallyd-off', directory, supervisor, cores.server);
  if (server.respPort === undefined) throw new Error('tallyd speaks RESP');
  const { sum } = await readStored(server.respPort, names);
  await server.stop();
  compareSums('open()', BigInt(added), sum);
  bench.onVerified(1);
  supervisor.removeDirectory(directory);
  return { rate, serverCpu: cpu, ratePerServerCpu: rate / cpu };
}
