/** Three nodes and the PostgreSQL that they share, of a test's own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgresProcess } from '../wire/postgres-process.ts';
import { stopServers } from '../wire/server-process.ts';
import { RegionNode } from './region-node.ts';

export class PostgresRegion {
  readonly store: PostgresProcess;
  readonly #root: string;

  private constructor(root: string, store: PostgresProcess) {
    this.#root = root;
    this.store = store;
  }

  /** Starts the store. */
  static async start(): Promise<PostgresRegion> {
    const root = await mkdtemp(join(tmpdir(), 'tallyd-chaos-'));
    return new PostgresRegion(root, await PostgresProcess.start(root));
  }

  async startThree(...flags: string[]): Promise<[RegionNode, RegionNode, RegionNode]> {
    const nodes = await RegionNode.startAll(join(this.#root, 'nodes'), ['a', 'b', 'c'], {
      store: this.store.url(),
      flags,
    });
    return nodes as [RegionNode, RegionNode, RegionNode];
  }

  /** Stops all of it, also what hangs. */
  async stop(): Promise<void> {
    this.store.resume();
    await stopServers();
    await this.store.stop();
    await rm(this.#root, { recursive: true, force: true });
  }
}
