/**
 * One client of the simulated region: one call at a time, to any node; it keeps account of what it was told, and
 * watches what it reads.
 */
import { Op } from '../../src/counter/chunk.ts';
import { BASE, CLIENTS, digitsOf } from './region-accounts.ts';
import type { CallOutcome } from './region-node.ts';
import type { Directory, Running, World } from './world.ts';

export class RegionClient {
  readonly #index: number;
  readonly #world: World;
  /** Whom the call under way was made to. */
  #callee: Running | undefined;

  constructor(index: number, world: World) {
    this.#index = index;
    this.#world = world;
  }

  get isBusy(): boolean {
    return this.#callee !== undefined;
  }

  /** The process is gone: what was under way stays unknown. */
  forget(running: Running): void {
    if (this.#callee === running) this.#callee = undefined;
  }

  /** Starts one call, if none is under way. */
  step(): void {
    const available = this.#world.available();
    if (this.isBusy || available.length === 0) return;
    const { random } = this.#world;
    const { directory, running } = random.pick(available);
    const choice = random.below(20);
    if (choice < 12) this.#add(directory, running, random.pick(this.#world.names));
    else if (choice < 18) {
      const isRegional = random.chance(this.#world.options.readsAll === true ? 0.9 : 0.2);
      this.#read(running, random.pick(this.#world.names), isRegional ? 'region' : 'local');
    } else this.#world.cuts.step(this.#world, running);
  }

  #add(directory: Directory, running: Running, name: string): void {
    const world = this.#world;
    const { accounts } = world;
    accounts.invoked.add(name, this.#index, 1);
    const acceptsPartial = world.random.chance(0.3);
    this.#call(running, Op.add, name, BASE ** BigInt(this.#index), { acceptsPartial }, (outcome) => {
      if (outcome.kind === 'refused') accounts.refused.add(name, this.#index, 1);
      if (outcome.kind !== 'done') return;
      world.count('adds');
      accounts.acknowledged.add(name, this.#index, 1);
      running.floor.add(name, this.#index, 1);
      running.own.add(name, this.#index, 1);
      directory.floor.add(name, this.#index, 1);
    });
  }

  #read(running: Running, name: string, consistency: 'local' | 'region'): void {
    const world = this.#world;
    const seen = [...running.seen.of(name)];
    const least = running.floor.of(name).map((count, c) => Math.max(count, seen[c] as number));
    const own = [...running.own.of(name)];
    const isOfAll = consistency === 'region' && world.options.readsAll === true;
    const all = [...world.accounts.acknowledged.of(name)];
    const acceptsPartial = world.random.chance(0.3);
    this.#call(running, Op.get, name, 0n, { consistency, acceptsPartial }, (outcome) => {
      if (outcome.kind !== 'done') return;
      world.count(outcome.isPartial ? 'partialReads' : 'reads');
      // What an earlier incarnation had counted may be folded, and is then only in the store.
      const complaint = world.accounts.judge(
        `client ${this.#index} reads (${consistency})`,
        name,
        outcome.value,
        outcome.isPartial ? own : isOfAll ? all : least,
      );
      if (isOfAll && !outcome.isPartial) world.count('wholeReads');
      if (complaint !== undefined) world.complain(complaint);
      // Later reads there must not show less.
      if (!outcome.isPartial) running.seen.raise(name, digitsOf(outcome.value).slice(0, CLIENTS).map(Number));
    });
  }

  #call(
    running: Running,
    op: Op,
    name: string,
    amount: bigint,
    options: { readonly consistency?: 'local' | 'region'; readonly acceptsPartial: boolean },
    told: (outcome: CallOutcome) => void,
  ): void {
    const { node } = running;
    if (node === undefined) return;
    this.#callee = running;
    const wasWarm = running.warm.has(name) && options.consistency !== 'region';
    const call = node.call((chunk) => {
      chunk.pushName(op, name, amount);
      chunk.consistency = options.consistency ?? 'local';
      chunk.acceptsPartial = options.acceptsPartial;
    });
    void call.then((outcome) => {
      if (running.process.isDead) return;
      if (this.#callee === running) this.#callee = undefined;
      this.#watch(running, name, wasWarm, outcome);
      told(outcome);
    });
  }

  /** What is warm is answered, whatever the store does. */
  #watch(running: Running, name: string, wasWarm: boolean, outcome: CallOutcome): void {
    const { options } = this.#world;
    if (outcome.kind === 'done') {
      if (!outcome.isPartial && options.memoryBytes === undefined) running.warm.add(name);
      return;
    }
    this.#world.count(`${outcome.kind}:${outcome.code}`);
    const isExpected = running.isStopping || (options.ack === 'store' && outcome.kind === 'unknown');
    if (wasWarm && !isExpected)
      this.#world.complain(`a call on ${name}, which was warm, ended ${outcome.kind}: ${outcome.code}`);
  }
}
