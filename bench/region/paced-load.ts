/** So many different counters changed a second, evenly spread over nodes. */
import { performance } from 'node:perf_hooks';
import type { RegionNode } from '../../test/chaos/region-node.ts';
import { increment, RespLine } from './resp-line.ts';

const TICK_MS = 10;
/** A node that is so far behind is not asked for more. */
const UNDER_WAY_MAX = 20_000;

export class PacedLoad {
  readonly #lines: readonly RespLine[];
  readonly #timer: NodeJS.Timeout;
  readonly #beganMs = performance.now();
  #due = 0;
  #next = 0;

  private constructor(lines: readonly RespLine[], perSecond: number, names: readonly string[]) {
    this.#lines = lines;
    const commands = names.map((name) => increment(name));
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#beganMs) / 1000) * perSecond;
      const each = Math.floor((due - this.#due) / lines.length);
      for (const line of lines) {
        this.#due += each;
        if (each === 0 || line.sent - line.answered > UNDER_WAY_MAX) continue;
        let text = '';
        for (let i = 0; i < each; i++) text += commands[this.#next++ % commands.length];
        line.send(text, each);
      }
    }, TICK_MS);
  }

  /** Round and round over these names, so that every update is of another counter than those before it. */
  static async start(nodes: readonly RegionNode[], perSecond: number, names: readonly string[]): Promise<PacedLoad> {
    const lines = await Promise.all(nodes.map((node) => RespLine.open(node.server.resp)));
    return new PacedLoad(lines, perSecond, names);
  }

  /** Answered so far, without those that were refused. */
  get answered(): number {
    return this.#lines.reduce((sum, { answered, errors }) => sum + answered - errors, 0);
  }

  /** Per node. */
  answeredBy(node: number): number {
    const { answered, errors } = this.#lines[node] as RespLine;
    return answered - errors;
  }

  get errors(): number {
    return this.#lines.reduce((sum, { errors }) => sum + errors, 0);
  }

  /** Sends no more, and waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#lines.map((line) => line.settled()));
    for (const line of this.#lines) line.close();
  }
}

export function manyNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `counter:${i}`);
}

/** Makes the counters known on every node, so that what is measured then is not their first reading. */
export async function warm(nodes: readonly RegionNode[], names: readonly string[]): Promise<void> {
  for (const node of nodes) {
    const line = await RespLine.open(node.server.resp);
    for (let from = 0; from < names.length; from += 1_000) {
      const page = names.slice(from, from + 1_000);
      line.send(page.map((name) => increment(name, 0)).join(''), page.length);
      await line.settled();
    }
    line.close();
  }
}
