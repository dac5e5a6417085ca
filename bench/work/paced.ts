/** Latency at half of the maximum rate: what a server that is well sized makes its users wait. */
import type { Sample } from '../row.ts';
import type { SetupName } from '../servers/server.ts';
import { CONNECTIONS } from '../targets.ts';
import type { Bench } from './bench.ts';
import { runClosed, sampleOf } from './closed.ts';

/** Enough connections that a command rarely has to wait for one: their number is not what is measured. */
const PACED_CONNECTIONS = 200;
const PROBE_SHARE = 0.5;

export async function measurePaced(bench: Bench, setup: SetupName): Promise<Sample> {
  const target = await bench.targets.get(setup);
  const { respPort: port } = target.server;
  if (port === undefined) throw new Error(`${setup} does not speak RESP`);
  const { warmUpMs, durationMs } = bench.times;
  const probe = { warmUpMs, durationMs: durationMs * PROBE_SHARE };
  const fastest = await runClosed(bench, target, { kind: 'increment', pipeline: 1, connections: CONNECTIONS }, probe);
  const rate = fastest.operations / fastest.seconds / 2;
  const report = await bench.generator.paced({
    port,
    serverPid: target.server.pid,
    connections: PACED_CONNECTIONS,
    stream: { kind: 'increment', names: bench.names, pipeline: 1, seed: bench.seed },
    warmUpMs,
    durationMs,
    rate,
  });
  target.acknowledged += BigInt(report.added);
  return { ...sampleOf(report.measured, 1), pacedRate: rate, sentLate: report.sentLate };
}
