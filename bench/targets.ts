/**
 * The servers of the rows that are being measured. Rows that stand next to each other share them: a server is started
 * when the first row needs it, filled with its counters, and stopped when no further row does.
 */
import { compareSums, readStored } from './ledger.ts';
import type { GeneratorProcess } from './load/generator-process.ts';
import type { Cores } from './machine/processor.ts';
import type { Supervisor } from './machine/supervisor.ts';
import type { Server, SetupName } from './servers/server.ts';
import { startServer } from './servers/start.ts';

export const CONNECTIONS = 50;

/** A running server, and what it owes us. */
export interface Target {
  readonly setup: SetupName;
  readonly server: Server;
  readonly names: number;
  /** The sum of everything that it has acknowledged. */
  acknowledged: bigint;
}

export class Targets {
  readonly #open = new Map<SetupName, Target & { readonly directory: string }>();
  readonly #supervisor: Supervisor;
  readonly #generator: GeneratorProcess;
  readonly #cores: Cores;
  readonly #names: number;
  readonly #nodeOptions: readonly string[];

  /**
   * @param names counters that every server is filled with before it is measured
   * @param nodeOptions for Tallyd, before the program's name
   */
  constructor(
    supervisor: Supervisor,
    generator: GeneratorProcess,
    cores: Cores,
    names: number,
    nodeOptions: readonly string[],
  ) {
    this.#supervisor = supervisor;
    this.#generator = generator;
    this.#cores = cores;
    this.#names = names;
    this.#nodeOptions = nodeOptions;
  }

  /** The server of a setup, filled; started now unless it runs already. */
  async get(setup: SetupName): Promise<Target> {
    const running = this.#open.get(setup);
    if (running !== undefined) return running;
    const directory = this.#supervisor.temporaryDirectory();
    const server = await startServer(setup, directory, this.#supervisor, this.#cores.server, this.#nodeOptions);
    const target = { setup, server, names: this.#names, acknowledged: 0n, directory };
    this.#open.set(setup, target);
    if (server.respPort !== undefined) {
      const { added } = await this.#generator.closed({
        port: server.respPort,
        serverPid: server.pid,
        connections: CONNECTIONS,
        stream: { kind: 'fill', names: this.#names },
        warmUpMs: 0,
        durationMs: undefined,
      });
      target.acknowledged += BigInt(added);
    }
    return target;
  }

  /**
   * Compares what is stored with what was acknowledged, on every server that keeps something.
   * @returns how many servers were compared
   * @throws SumMismatch
   */
  async verify(): Promise<number> {
    let compared = 0;
    for (const { setup, server, names, acknowledged } of this.#open.values()) {
      if (server.respPort === undefined) continue;
      compareSums(setup, acknowledged, (await readStored(server.respPort, names)).sum);
      compared += 1;
    }
    return compared;
  }

  /** Stops all servers but these. */
  async keepOnly(setups: readonly SetupName[]): Promise<void> {
    for (const [setup, { server, directory }] of this.#open) {
      if (setups.includes(setup)) continue;
      this.#open.delete(setup);
      await server.stop();
      this.#supervisor.removeDirectory(directory);
    }
  }
}
