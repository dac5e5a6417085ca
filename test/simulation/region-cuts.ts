/**
 * A counter that is added to, set and deleted by everyone at once. A cut covers what it has seen, so nobody can say in
 * advance what is left; but whatever was added after no cut could take effect any more must be there, and nothing may
 * be there that nobody has added or set. The digit behind those of the clients tells what was set, the first one how
 * much was added.
 */
import { total } from '../../src/crdt/cut.ts';
import { BASE, CLIENTS, digitsOf } from './region-accounts.ts';
import type { RegionNode } from './region-node.ts';
import type { Running, World } from './world.ts';

export const CUT_NAME = 'cut';
const MARK = BASE ** BigInt(CLIENTS);
const MARKS = 5;
/** Of two that were set within this nobody can say which one was later. */
const CLOCK_MS = 1;
/** What was sent arrives within this, if it does. */
const LATE_MS = 4_000;

interface CutCall {
  readonly running: Running;
  readonly mark: bigint;
  readonly begunMs: number;
  /** It was answered. */
  isDone: boolean;
  /** When it could take effect for the last time; undefined while it is under way, or will never. */
  endMs: number | undefined;
  isRefused: boolean;
}

export class CutAccounts {
  readonly #cuts: CutCall[] = [];
  #invoked = 0;
  #refused = 0;
  /** When each acknowledged add was begun. */
  readonly #acknowledgedMs: number[] = [];
  /** From then on there are only adds. */
  isOver = false;

  /** One call, by nobody in particular. */
  step(world: World, running: Running): void {
    if (this.isOver || world.random.chance(0.6)) this.#add(world, running.node as RegionNode);
    else this.#cut(world, running);
  }

  /** The process is gone: what it has sent may still arrive. */
  forget(running: Running, nowMs: number): void {
    for (const cut of this.#cuts) if (cut.running === running && cut.endMs === undefined) cut.endMs = nowMs + LATE_MS;
  }

  #add(world: World, node: RegionNode): void {
    const begunMs = world.nowMs;
    this.#invoked++;
    void node.add(CUT_NAME, 1n).then(({ kind }) => {
      if (kind === 'refused') this.#refused++;
      if (kind === 'done') this.#acknowledgedMs.push(begunMs);
    });
  }

  #cut(world: World, running: Running): void {
    const digit = BigInt(world.random.below(MARKS));
    const begunMs = world.nowMs;
    const cut: CutCall = { running, mark: digit, begunMs, isDone: false, endMs: undefined, isRefused: false };
    this.#cuts.push(cut);
    const node = running.node as RegionNode;
    const call = digit === 0n ? node.delete(CUT_NAME) : node.set(CUT_NAME, digit * MARK);
    void call.then(({ kind }) => {
      if (running.process.isDead) return;
      world.count(`cuts:${kind}`);
      cut.isRefused = kind === 'refused';
      cut.isDone = kind === 'done';
      cut.endMs = kind === 'unknown' ? world.nowMs + LATE_MS : kind === 'done' ? world.nowMs : Number.NEGATIVE_INFINITY;
    });
  }

  /**
   * Before this nothing counts that was set: a later one was answered. Where clocks differ and the store goes back,
   * nobody can say.
   */
  #lastMs(world: World, isLossy: boolean): number {
    const isInOrder = world.counts.rollBacks === undefined || (world.options.clocksAgree === true && !isLossy);
    if (isInOrder) world.count('lastCuts');
    const begunMs = isInOrder ? this.#cuts.filter(({ isDone }) => isDone).map((cut) => cut.begunMs) : [];
    return Math.max(...begunMs) - CLOCK_MS;
  }

  /** After everything has come together. */
  async judge(world: World): Promise<void> {
    const [state] = world.store.read([CUT_NAME]);
    const value = state === undefined ? 0n : total(state.slots, state.cut);
    const digits = digitsOf(value);
    const cutMs = Math.max(...this.#cuts.map(({ endMs }) => endMs ?? Number.POSITIVE_INFINITY), 0);
    // A disk takes with it what it had not yet passed on.
    const isLossy = world.counts.lostDisks !== undefined && world.options.ack !== 'store';
    const least = isLossy ? 0 : this.#acknowledgedMs.filter((begunMs) => begunMs > cutMs).length;
    const most = this.#invoked - this.#refused;
    const complain = (why: string): void => world.complain(`${CUT_NAME} is ${value}: ${why}`);
    if (digits[0] === undefined || digits[0] < least) complain(`${least} were added after the last cut`);
    else if (digits[0] > most) complain(`${most} were added at most`);
    const lastMs = this.#lastMs(world, isLossy);
    const possible = this.#cuts.filter(
      ({ isRefused, endMs = Number.POSITIVE_INFINITY }) => !isRefused && endMs >= lastMs,
    );
    const marks = new Set(possible.map(({ mark }) => mark));
    if (lastMs === Number.NEGATIVE_INFINITY) marks.add(0n);
    if (!marks.has(digits[CLIENTS] as bigint)) complain(`the last that set it had ${[...marks].join(' or ')}`);
    for (const node of world.nodes) {
      const read = await world.read(node, CUT_NAME);
      if (read !== value) complain(`a node reads ${read}`);
    }
  }
}
