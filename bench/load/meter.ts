/**
 * What happened between two moments: operations, latencies, and the CPU that the generator and the server took.
 * Acknowledgements are counted outside of it, for the whole run: nothing of them may be lost with the warm-up.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { cpuSecondsOf, cpuSecondsOfMachine } from '../machine/processor.ts';

export interface Measured {
  readonly operations: number;
  readonly seconds: number;
  readonly latency: Latency;
  /** Shares of one core. */
  readonly generatorCpu: number;
  readonly serverCpu: number;
  /** What other processes took meanwhile: the more, the less the other numbers are worth. */
  readonly othersCpu: number;
}

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

const NANOSECONDS_PER_MS = 1e6;

export class Meter {
  readonly #serverPid: number;
  readonly #latency: RecordableHistogram = createHistogram();
  #operations = 0;
  #running = false;
  #startedAtMs = 0;
  #cpuAtStart: NodeJS.CpuUsage = { user: 0, system: 0 };
  #serverCpuAtStart = 0;
  #machineCpuAtStart = 0;

  constructor(serverPid: number) {
    this.#serverPid = serverPid;
  }

  start(): void {
    this.#operations = 0;
    this.#latency.reset();
    this.#serverCpuAtStart = cpuSecondsOf(this.#serverPid);
    this.#cpuAtStart = process.cpuUsage();
    this.#machineCpuAtStart = cpuSecondsOfMachine();
    this.#startedAtMs = performance.now();
    this.#running = true;
  }

  count(operations: number): void {
    if (this.#running) this.#operations += operations;
  }

  latency(milliseconds: number): void {
    if (this.#running) this.#latency.record(Math.max(1, Math.round(milliseconds * NANOSECONDS_PER_MS)));
  }

  stop(): Measured {
    const seconds = (performance.now() - this.#startedAtMs) / 1000;
    const { user, system } = process.cpuUsage(this.#cpuAtStart);
    const machineCpu = (cpuSecondsOfMachine() - this.#machineCpuAtStart) / seconds;
    const generatorCpu = (user + system) / 1e6 / seconds;
    const serverCpuSeconds = cpuSecondsOf(this.#serverPid) - this.#serverCpuAtStart;
    const serverCpu = serverCpuSeconds / seconds;
    this.#running = false;
    return {
      operations: this.#operations,
      seconds,
      latency: {
        p50: this.#latency.percentile(50) / NANOSECONDS_PER_MS,
        p99: this.#latency.percentile(99) / NANOSECONDS_PER_MS,
        p999: this.#latency.percentile(99.9) / NANOSECONDS_PER_MS,
        max: this.#latency.max / NANOSECONDS_PER_MS,
      },
      generatorCpu,
      serverCpu,
      othersCpu: Math.max(0, machineCpu - generatorCpu - serverCpu),
    };
  }
}
