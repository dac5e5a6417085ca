/** Rows that ask as fast as the server answers. */
import type { Measured } from '../load/meter.ts';
import type { Load, Sample } from '../row.ts';
import type { SetupName } from '../servers/server.ts';
import type { Target } from '../targets.ts';
import type { Bench, Times } from './bench.ts';

export async function measureClosed(bench: Bench, setup: SetupName, load: Load): Promise<Sample> {
  const target = await bench.targets.get(setup);
  const measured = await runClosed(bench, target, load, bench.times);
  return sampleOf(measured, load.operationsEach ?? 1);
}

/** Puts the load on the target and what it acknowledged into the target's account. */
export async function runClosed(bench: Bench, target: Target, load: Load, times: Times): Promise<Measured> {
  const { kind, pipeline, connections, namesEach = 1 } = load;
  const { measured, added } = await bench.generator.closed({
    port: portFor(target, load),
    serverPid: target.server.pid,
    connections,
    stream: { kind, names: bench.names, pipeline, namesEach, seed: bench.seed },
    ...times,
  });
  target.acknowledged += BigInt(added);
  return measured;
}

function portFor({ setup, server }: Target, { kind }: Load): number {
  const port = kind.startsWith('http-') ? server.httpPort : server.respPort;
  if (port === undefined) throw new Error(`${setup} has no port for ${kind}`);
  return port;
}

export function sampleOf(measured: Measured, operationsEach: number): Sample {
  const rate = (measured.operations * operationsEach) / measured.seconds;
  const { latency, generatorCpu, serverCpu, othersCpu } = measured;
  return {
    rate,
    latencyP50: latency.p50,
    latencyP99: latency.p99,
    latencyP999: latency.p999,
    latencyMax: latency.max,
    serverCpu,
    generatorCpu,
    othersCpu,
    ratePerServerCpu: rate / serverCpu,
  };
}
