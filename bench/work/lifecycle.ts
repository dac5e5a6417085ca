/**
 * Memory and restarts with many counters, after adds of both signs and sets. Redis keeps its counters in an RDB file
 * that it writes when it is stopped; Tallyd is stopped once, and killed once with its journal as full as it gets
 * before a snapshot replaces it. Files are in the page cache in both cases.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { withClient } from '../control.ts';
import { compareSums, readStored } from '../ledger.ts';
import type { Measured } from '../load/meter.ts';
import type { StreamSpec } from '../load/stream.ts';
import { residentBytesOf } from '../machine/processor.ts';
import type { Sample } from '../row.ts';
import type { Server, SetupName } from '../servers/server.ts';
import { startServer } from '../servers/start.ts';
import { CONNECTIONS } from '../targets.ts';
import type { Bench, Times } from './bench.ts';

/** Until what was freed while loading has been given back. */
const SETTLE_MS = 1_500;
/** Tallyd's default: at this size a snapshot replaces the journal. */
const JOURNAL_BYTES_MAX = 256 * 1024 * 1024;
const JOURNAL_FULL = 0.85;
const FILL_STEP_MS = 100;
const FILL_STEPS_MAX = 600;

interface Depth {
  readonly connections: number;
  readonly pipeline: number;
}

const FULL_DEPTH = { connections: CONNECTIONS, pipeline: 512 };
const FILL_DEPTH = { connections: CONNECTIONS, pipeline: 128 };
/** Until the stream ends. */
const NO_TIMES = { warmUpMs: 0, durationMs: undefined };

/** A server's resident memory, when it has given back what was freed while loading. */
export async function settledBytesOf(pid: number): Promise<number> {
  await delay(SETTLE_MS);
  return residentBytesOf(pid);
}

/** One server on one directory, from start to start. */
export class Lifecycle {
  readonly #bench: Bench;
  readonly #setup: SetupName;
  readonly #names: number;
  readonly #directory: string;
  #server: Server | undefined;
  #acknowledged = 0n;

  constructor(bench: Bench, setup: SetupName, names: number) {
    this.#bench = bench;
    this.#setup = setup;
    this.#names = names;
    this.#directory = bench.supervisor.temporaryDirectory();
  }

  get server(): Server {
    if (this.#server === undefined) throw new Error('the server is not running');
    return this.#server;
  }

  get respPort(): number {
    if (this.server.respPort === undefined) throw new Error('the server does not speak RESP');
    return this.server.respPort;
  }

  /** @returns seconds until it took traffic */
  async start(): Promise<number> {
    const { supervisor, cores } = this.#bench;
    this.#server = await startServer(this.#setup, this.#directory, supervisor, cores.server);
    return this.#server.readyMs / 1000;
  }

  /** @returns seconds that it took to make all counters */
  async load({ connections, pipeline }: Depth = FULL_DEPTH): Promise<number> {
    const { seconds } = await this.#run(connections, { kind: 'ledger', names: this.#names, pipeline }, NO_TIMES);
    return seconds;
  }

  /** INCR of random names. */
  increment({ connections, pipeline }: Depth, times: Partial<Times> = this.#bench.times): Promise<Measured> {
    const stream = { kind: 'increment', names: this.#names, pipeline, seed: this.#bench.seed } as const;
    return this.#run(connections, stream, { ...NO_TIMES, ...times });
  }

  /** @returns seconds that it took to write a snapshot */
  async snapshot(): Promise<number> {
    const since = performance.now();
    const answer = await fetch(`http://127.0.0.1:${this.server.httpPort}/v1/snapshot`, { method: 'POST' });
    if (!answer.ok) throw new Error(`no snapshot: ${await answer.text()}`);
    return (performance.now() - since) / 1000;
  }

  async bytesPerCounter(): Promise<number> {
    return (await settledBytesOf(this.server.pid)) / this.#names;
  }

  /** Adds to random counters until the journal is nearly as long as it gets. @returns its bytes */
  async fillJournal(): Promise<number> {
    for (let step = 0; step < FILL_STEPS_MAX; step++) {
      const bytes = await journalBytes(this.respPort);
      if (bytes >= JOURNAL_BYTES_MAX * JOURNAL_FULL && bytes < JOURNAL_BYTES_MAX) return bytes;
      await this.increment(FILL_DEPTH, { durationMs: FILL_STEP_MS });
    }
    throw new Error('the journal never came near the size at which a snapshot replaces it');
  }

  /** @throws SumMismatch */
  async verify(): Promise<void> {
    compareSums(this.#setup, this.#acknowledged, (await readStored(this.respPort, this.#names)).sum);
    this.#bench.onVerified(1);
  }

  async #run(
    connections: number,
    stream: StreamSpec,
    times: { readonly warmUpMs: number; readonly durationMs: number | undefined },
  ): Promise<Measured> {
    const { respPort: port, server } = this;
    const job = { port, serverPid: server.pid, connections, stream, ...times };
    const { added, measured } = await this.#bench.generator.closed(job);
    this.#acknowledged += BigInt(added);
    return measured;
  }

  async remove(): Promise<void> {
    await this.#server?.stop();
    this.#bench.supervisor.removeDirectory(this.#directory);
  }
}

export async function measureLifecycle(bench: Bench, server: 'redis' | 'tallyd', names: number): Promise<Sample> {
  return server === 'redis' ? measureRedis(bench, names) : measureTallyd(bench, names);
}

async function measureRedis(bench: Bench, names: number): Promise<Sample> {
  const life = new Lifecycle(bench, 'redis-snapshot', names);
  await life.start();
  const loadSeconds = await life.load();
  const bytesPerCounter = await life.bytesPerCounter();
  await life.server.stop();
  const seconds = await life.start();
  await life.verify();
  await life.remove();
  return { loadSeconds, bytesPerCounter, restartCleanSeconds: seconds, restartKilledSeconds: seconds };
}

async function measureTallyd(bench: Bench, names: number): Promise<Sample> {
  const life = new Lifecycle(bench, 'tallyd-always', names);
  await life.start();
  const loadSeconds = await life.load();
  const bytesPerCounter = await life.bytesPerCounter();
  await life.server.stop();
  const restartCleanSeconds = await life.start();
  await life.verify();
  const journalMebibytes = (await life.fillJournal()) / 2 ** 20;
  await life.server.kill();
  const restartKilledSeconds = await life.start();
  await life.verify();
  await life.remove();
  return { loadSeconds, bytesPerCounter, restartCleanSeconds, journalMebibytes, restartKilledSeconds };
}

function journalBytes(port: number): Promise<number> {
  return withClient(port, async (ask) => {
    const text = String(await ask('INFO', 'persistence'));
    return Number(/^aof_current_size:(\d+)/m.exec(text)?.[1] ?? Number.NaN);
  });
}
