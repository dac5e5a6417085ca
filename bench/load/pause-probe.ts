/**
 * Looks for pauses: a process that asks two servers PING every millisecond, one that works and one that is idle, and
 * tells on request how long they took since it was asked last. What the machine does to both is seen in both.
 *
 * While a server pauses, the questions that were due meanwhile are counted too, each with what was left of the pause.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { Connection } from './connection.ts';
import { openReplyCounter } from './reply-counter.ts';
import { openStream } from './stream.ts';

/** p99.99 of the answers, in ms, in the order of the ports. */
export type ProbeReport = readonly number[];

const INTERVAL_MS = 1;
const NANOSECONDS_PER_MS = 1e6;
const PERCENTILE = 99.99;

class Probe {
  readonly #latency: RecordableHistogram = createHistogram();
  readonly #ping = openStream({ kind: 'ping' });
  #connection: Connection | undefined;
  #isWaiting = false;

  async open(port: number): Promise<void> {
    this.#connection = await Connection.open(port, openReplyCounter('resp'), {
      onReplies: () => undefined,
      onBatch: (connection) => {
        this.#isWaiting = false;
        this.#record(performance.now() - connection.startedAtMs);
      },
      onFailure: (error) => {
        throw error;
      },
    });
  }

  ask(): void {
    const batch = this.#ping.next();
    if (this.#isWaiting || this.#connection === undefined || batch === undefined) return;
    this.#isWaiting = true;
    this.#connection.startedAtMs = performance.now();
    this.#connection.send(batch);
  }

  take(): number {
    const worst = this.#latency.percentile(PERCENTILE) / NANOSECONDS_PER_MS;
    this.#latency.reset();
    return worst;
  }

  #record(milliseconds: number): void {
    for (let left = milliseconds; left > 0; left -= INTERVAL_MS) {
      this.#latency.record(Math.max(1, Math.round(left * NANOSECONDS_PER_MS)));
    }
  }
}

const probes = await Promise.all(
  process.argv.slice(2).map(async (port) => {
    const probe = new Probe();
    await probe.open(Number(port));
    return probe;
  }),
);
setInterval(() => {
  for (const probe of probes) probe.ask();
}, INTERVAL_MS);
process.on('message', () => {
  const report: ProbeReport = probes.map((probe) => probe.take());
  process.send?.(report);
});
process.on('disconnect', () => process.exit(0));
process.send?.([]);
