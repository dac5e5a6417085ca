// The benchmark must not praise a server that counts wrong. Its own load generator and its own check run here against
// a server that lies. Nothing is timed.

import { afterEach, expect, it } from 'vitest';
import { compareSums, readStored, SumMismatch } from '../../bench/ledger.ts';
import { runClosedLoop } from '../../bench/load/closed-loop.ts';
import { openStream } from '../../bench/load/stream.ts';
import { type Honesty, LyingServer } from './lying-server.ts';

const NAMES = 2_000;
let server: LyingServer | undefined;

afterEach(() => server?.close());

/** Puts the load of a benchmark on a server and checks it as a benchmark does. */
async function benchmark(honesty: Honesty): Promise<void> {
  server = new LyingServer(honesty);
  const port = await server.listen();
  const load = { port, serverPid: process.pid, connections: 5, warmUpMs: 0 };
  const filled = await runClosedLoop({
    ...load,
    stream: openStream({ kind: 'fill', names: NAMES }),
    durationMs: undefined,
  });
  const spec = { kind: 'increment', names: NAMES, pipeline: 16, seed: 1 } as const;
  const counted = await runClosedLoop({ ...load, stream: openStream(spec), durationMs: 50 });
  expect(filled.added).toBe(NAMES);
  expect(counted.added).toBe(counted.acknowledged);
  const { sum, counters } = await readStored(port, NAMES);
  expect(counters).toBe(NAMES);
  compareSums('a server', BigInt(filled.added + counted.added), sum);
}

it('accepts a server that counts right', async () => {
  await benchmark(() => 1);
});

it('notices one increment that was acknowledged and lost', async () => {
  await expect(benchmark((nth) => (nth === 1_234 ? 0 : 1))).rejects.toThrow(SumMismatch);
});

it('notices one increment that was counted twice', async () => {
  await expect(benchmark((nth) => (nth === 1_234 ? 2 : 1))).rejects.toThrow('1 too many');
});
