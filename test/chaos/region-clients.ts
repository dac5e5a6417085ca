// Clients that count on one node of a region for as long as they are told to, whatever becomes of the node, and keep
// account of it. Client c adds BASE ** c to a counter that clients of all nodes share, so that the digits of the total
// tell whose update was lost or counted twice; and amounts of either sign to counters of its own.

import { setTimeout as sleep } from 'node:timers/promises';
import type { SeededRandom } from '../../src/std/random.ts';
import { BASE, CLIENTS_PER_TOTAL, frame, RespConnection } from '../wire/counting-clients.ts';
import { Ledger } from './ledger.ts';
import type { RegionNode } from './region-node.ts';

/** In phases, so that some are not touched again after a fault, which would heal what it broke. */
const OWN_PER_PHASE = 4;
const PHASES = 5;
const PIPELINE_MAX = 40;
const PAUSE_MS = 10;
const AGAIN_MS = 20;

interface Update {
  readonly name: string;
  readonly amount: bigint;
  readonly ledger: Ledger;
  readonly id: number;
}

export abstract class RegionClient {
  readonly node: RegionNode;
  /** The counter that it shares, and its digit there. */
  readonly total: string;
  readonly weight: bigint;
  /** In units of its weight. */
  readonly shared = new Ledger();
  readonly owns: ReadonlyMap<string, Ledger>;
  /** Updates that were acknowledged, refused, and cut off or said to be unknown. */
  acknowledged = 0;
  refused = 0;
  unknown = 0;
  protected readonly random: SeededRandom;
  #isOver = false;
  #shares = 0;
  #phase = 0;

  constructor(index: number, node: RegionNode, random: SeededRandom) {
    this.node = node;
    this.random = random;
    // Neighbours, which count on different nodes, share a total.
    this.total = `total:${Math.floor(index / CLIENTS_PER_TOTAL)}`;
    this.weight = BASE ** BigInt(index % CLIENTS_PER_TOTAL);
    const names = Array.from({ length: PHASES * OWN_PER_PHASE }, (_, i) => `own:${index}:${i}`);
    this.owns = new Map(names.map((name) => [name, new Ledger()]));
  }

  /** Counts until `finish`. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      if (this.node.running === undefined) await sleep(AGAIN_MS);
      else await this.session();
    }
  }

  /** Ends when what is under way is answered. */
  finish(): void {
    this.#isOver = true;
  }

  /** Counts on other counters of its own from here on, as long as there are some. */
  turn(): void {
    this.#phase = Math.min(this.#phase + 1, PHASES - 1);
  }

  /** How many of its updates a total holds. */
  digitOf(total: bigint): bigint {
    return (total / this.weight) % BASE;
  }

  /** Counts until it is over, or the node goes away. */
  protected abstract session(): Promise<void>;

  protected get isOver(): boolean {
    return this.#isOver;
  }

  protected ask(): Update[] {
    const first = this.#phase * OWN_PER_PHASE;
    const names = [...this.owns.keys()].slice(first, first + OWN_PER_PHASE);
    const updates: Update[] = [];
    for (let left = 1 + this.random.below(PIPELINE_MAX / 2); left > 0; left--) {
      // A digit has room for so many.
      if (++this.#shares < BASE) {
        updates.push({ name: this.total, amount: this.weight, ledger: this.shared, id: this.shared.ask(1n) });
      }
      const name = names[this.random.below(names.length)] as string;
      const amount = BigInt(this.random.below(15) - 5);
      const ledger = this.owns.get(name) as Ledger;
      updates.push({ name, amount, ledger, id: ledger.ask(amount) });
    }
    return updates;
  }

  protected done({ ledger, id }: Update): void {
    ledger.done(id);
    this.acknowledged++;
  }

  protected notDone({ ledger, id }: Update): void {
    ledger.refused(id);
    this.refused++;
  }
}

/** Pipelines of INCRBY. */
export class RespRegionClient extends RegionClient {
  protected async session(): Promise<void> {
    const connection = await RespConnection.open(this.node.running?.resp);
    if (connection === undefined) {
      await sleep(AGAIN_MS);
      return;
    }
    try {
      while (!this.isOver) {
        const updates = this.ask();
        connection.send(updates.map(({ name, amount }) => frame('INCRBY', name, `${amount}`)).join(''));
        if (!(await this.#takeReplies(connection, updates))) return;
        await sleep(PAUSE_MS);
      }
    } finally {
      connection.close();
    }
  }

  async #takeReplies(connection: RespConnection, updates: readonly Update[]): Promise<boolean> {
    for (const [at, update] of updates.entries()) {
      const reply = await connection.lines(1);
      if (reply === undefined) {
        this.unknown += updates.length - at;
        return false;
      }
      if (/^:-?\d+\r\n$/.test(reply)) this.done(update);
      else if (/^-(TRYAGAIN |ERR the server is shutting down)/.test(reply)) this.notDone(update);
      else if (reply.startsWith('-ERR outcome unknown')) this.unknown++;
      else throw new Error(`unexpected reply ${JSON.stringify(reply)}`);
    }
    return true;
  }
}

/** Batches over HTTP. */
export class HttpRegionClient extends RegionClient {
  protected async session(): Promise<void> {
    while (!this.isOver && this.node.running !== undefined) {
      const updates = this.ask();
      await this.#send(updates);
      await sleep(PAUSE_MS);
    }
  }

  async #send(updates: readonly Update[]): Promise<void> {
    const body = updates.map(({ name, amount }) => ({ name, by: `${amount}` }));
    const answer = await post(`${this.node.url}/v1/batch`, body);
    if (answer === 'nobody') {
      for (const update of updates) this.notDone(update);
      await sleep(AGAIN_MS);
    } else if (answer === undefined || answer.outcome === 'unknown') {
      this.unknown += updates.length;
    } else if (answer.outcome === 'refused') {
      for (const update of updates) this.notDone(update);
    } else {
      for (const [at, update] of updates.entries()) {
        const error = answer.results?.[at]?.error;
        if (error === undefined) this.done(update);
        else if (['store_away', 'shutting_down', 'overloaded'].includes(error.code)) this.notDone(update);
        else throw new Error(`unexpected outcome ${JSON.stringify(error)}`);
      }
    }
  }
}

interface BatchAnswer {
  readonly results?: readonly { readonly error?: { readonly code: string } }[];
  /** Of a problem. */
  readonly outcome?: string;
}

/** `nobody`: no connection was made, so nothing was asked. Undefined: it broke, and what became of it is not known. */
async function post(url: string, body: unknown): Promise<BatchAnswer | 'nobody' | undefined> {
  try {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers });
    const text = await response.text();
    if (response.status === 200 || text.includes('"outcome":')) return JSON.parse(text) as BatchAnswer;
    throw new Error(`unexpected answer ${response.status} ${text}`);
  } catch (error) {
    // What fetch throws for every failure of the connection; anything else is a mistake in here.
    if (!(error instanceof TypeError)) throw error;
    const { code } = (error.cause ?? {}) as { code?: string };
    return code === 'ECONNREFUSED' ? 'nobody' : undefined;
  }
}
