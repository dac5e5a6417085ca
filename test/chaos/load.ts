// Load on all nodes of a region, a look at what they show meanwhile, and the check of what they show at the end.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { eventually } from './eventually.ts';
import type { Values } from './ledger.ts';
import { HttpRegionClient, type RegionClient, RespRegionClient } from './region-clients.ts';
import type { RegionNode } from './region-node.ts';

const LOOK_MS = 100;

export class Load {
  readonly nodes: readonly RegionNode[];
  readonly clients: readonly RegionClient[];
  readonly #complaints: string[] = [];
  readonly #running: Promise<void>[];
  #isOver = false;

  /** Two clients a node. */
  constructor(nodes: readonly RegionNode[], seed: number) {
    this.nodes = nodes;
    this.clients = [RespRegionClient, HttpRegionClient].flatMap((Client, kind) =>
      nodes.map((node, i) => new Client(kind * nodes.length + i, node, new SeededRandom(seed + 10 * kind + i))),
    );
    const loops = [...this.clients.map((client) => client.run()), ...nodes.map((node) => this.#watch(node))];
    this.#running = loops.map((loop) =>
      loop.catch((error: unknown) => {
        this.#complaints.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }),
    );
  }

  get names(): string[] {
    return [...new Set(this.clients.flatMap(({ total, owns }) => [total, ...owns.keys()]))];
  }

  clientsOf(...nodes: readonly RegionNode[]): RegionClient[] {
    return this.clients.filter(({ node }) => nodes.includes(node));
  }

  /** Until each of these has so many more updates acknowledged; none may be refused, or end unknown, meanwhile. */
  async counts(clients: readonly RegionClient[], updates: number): Promise<void> {
    const before = clients.map(({ acknowledged, refused, unknown }) => ({ acknowledged, refused, unknown }));
    await this.progress(clients, updates);
    for (const [i, { refused, unknown }] of clients.entries()) {
      expect({ refused, unknown }, `client ${i}`).toEqual({ refused: before[i]?.refused, unknown: before[i]?.unknown });
    }
  }

  /** Until each of these has so many more updates acknowledged. */
  async progress(clients: readonly RegionClient[], updates: number): Promise<void> {
    const goals = clients.map(({ acknowledged }) => acknowledged + updates);
    await eventually('every client is answered', () => {
      this.#complain();
      return clients.every(({ acknowledged }, i) => acknowledged >= (goals[i] as number));
    });
  }

  /** Makes every counter known on every node, so that none depends on the store from here on. */
  async warm(): Promise<void> {
    await eventually('all counters are known', async () => {
      await Promise.all(this.nodes.map((node) => node.values(this.names)));
      return true;
    });
  }

  /** All clients leave counters of their own behind, which nobody touches any more. */
  turn(): void {
    for (const client of this.clients) client.turn();
  }

  /** Ends the load. */
  async finish(): Promise<void> {
    this.#isOver = true;
    for (const client of this.clients) client.finish();
    await Promise.all(this.#running);
    this.#complain();
  }

  /** Until all nodes show the same, and it is what the clients' accounts allow; `region` reads show it too. */
  async converges(): Promise<Values> {
    let problem = '';
    await eventually('all nodes show what was counted', async () => {
      const all = await Promise.all(this.nodes.map((node) => node.values(this.names)));
      problem = this.#problemOf(all);
      return problem === '';
    }).catch((error: unknown) => {
      throw new Error(problem, { cause: error });
    });
    return this.check();
  }

  /** As `converges`, but right now. */
  async check(): Promise<Values> {
    const reads = (['local', 'region'] as const).flatMap((consistency) =>
      this.nodes.map((node) => node.values(this.names, consistency)),
    );
    const all = await Promise.all(reads);
    expect(this.#problemOf(all)).toBe('');
    return all[0] as Values;
  }

  #problemOf(all: readonly Values[]): string {
    const [first = new Map<string, bigint>()] = all;
    for (const [i, values] of all.entries()) {
      for (const [name, value] of values) {
        if (value !== first.get(name)) return `${name}: ${value} at reading ${i}, ${first.get(name)} at the first`;
      }
    }
    for (const client of this.clients) {
      const { total, shared } = client;
      const digit = client.digitOf(first.get(total) ?? 0n);
      if (!shared.accepts(digit)) return `${total}, weight ${client.weight}: ${digit} counted, ${shared}`;
      for (const [name, ledger] of client.owns) {
        if (!ledger.accepts(first.get(name) ?? 0n)) return `${name}: ${first.get(name)} counted, ${ledger}`;
      }
    }
    return '';
  }

  /** What a node shows lies between what was acknowledged there before and what was asked for at all. */
  async #watch(node: RegionNode): Promise<void> {
    const totals = [...new Set(this.clients.map(({ total }) => total))];
    while (!this.#isOver) {
      await sleep(LOOK_MS);
      const acknowledged = this.clients.map(({ shared }) => shared.acknowledged);
      const { running } = node;
      if (running === undefined) continue;
      const readings = await node.read(totals).catch(() => []);
      for (const { name, value } of readings) {
        if (value === null) continue;
        for (const [i, client] of this.clients.entries()) {
          if (client.total !== name) continue;
          const digit = client.digitOf(value);
          const least = client.node === node ? (acknowledged[i] as bigint) : 0n;
          if (digit >= least && digit <= client.shared.most) continue;
          this.#complaints.push(
            `${node.name} shows ${digit} of client ${i} in ${name}, not ${least} to ${client.shared.most}`,
          );
        }
      }
    }
  }

  #complain(): void {
    expect(this.#complaints).toEqual([]);
  }
}
