/**
 * Keeps a replica within its memory: counters that were not used lately, and of which a durable store has confirmed
 * everything, leave memory and disk, and come back at their first touch. At the limit calls that need further counters
 * wait until others have left; where nothing durable has them, or too few can leave, new names are refused.
 */
import type { Engine } from '../engine/engine.ts';
import type { Identity } from './identity.ts';
import { dropSlots, type LocalSlot, type Own } from './local-slots.ts';
import { pause } from './pause.ts';
import { Rest, type RestOptions } from './rest.ts';
import type { SharedCounter } from './shared-counter.ts';

/** Looked at in one turn, so that nobody waits long. */
const LOOKED_AT_MAX = 10_000;
const LOOK_STEPS = 2;
const DROPPED_AT_ONCE = 4_000;
/** Evictions begin before the limit: new names need not wait for them. */
const BEGIN_AT = 0.9;
const LOOK_AGAIN_MS = 10;

export interface EvictionOptions extends RestOptions {
  readonly engine: Engine;
  readonly identity: Identity;
  readonly own: () => Own;
  /** Undefined: no limit. */
  readonly memoryBytes?: number | undefined;
  /** Whether the store does: while it is away, what was counted since cannot leave. */
  readonly isAnswering: () => boolean;
  readonly failed: (error: unknown) => void;
}

export class Eviction {
  readonly #options: EvictionOptions;
  readonly #rest: Rest;
  #hand = 0;
  #evicted = 0;
  #running: Promise<void> | undefined;

  constructor(options: EvictionOptions) {
    this.#options = options;
    this.#rest = new Rest(options, (counter) => this.#letGo(counter));
  }

  /** Counters that have left since the start. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Whether a further counter can be held. */
  hasRoom(): boolean {
    this.step();
    const { memoryBytes, counters } = this.#options;
    return memoryBytes === undefined || counters.bytes < memoryBytes;
  }

  /**
   * Makes room in the background when there is little. Also to be called now and then: what is held grows with what
   * others count.
   */
  step(): void {
    const { memoryBytes, counters, isDurable, isTrusted } = this.#options;
    if (memoryBytes === undefined || !isDurable || counters.bytes <= memoryBytes * BEGIN_AT || !isTrusted()) return;
    this.#running ??= this.#makeRoom(memoryBytes * BEGIN_AT).finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves to whether there is room, now or after others have left. @param endMs by the monotonic clock */
  async waitForRoom(endMs: number): Promise<boolean> {
    const { clock, isDurable, isAnswering } = this.#options;
    while (!this.hasRoom()) {
      if (!isDurable || !isAnswering() || clock.monotonicMs() >= endMs) return false;
      await this.#running;
      if (!this.hasRoom()) await pause(clock, LOOK_AGAIN_MS);
    }
    return true;
  }

  /** Lets counters go that were deleted long ago. To be called again and again. */
  rest(): void {
    this.#rest.step();
  }

  /** What this directory has counted on it stays in the engine: it goes on from there, also while the store is away. */
  #letGo(counter: SharedCounter): void {
    if (counter.pins === 0 && counter.warmth === 'warm' && this.#isSafe(counter)) this.#leave(counter);
  }

  #leave(counter: SharedCounter): void {
    if (counter.warmth === 'warm') this.#options.kept.drop(counter.name);
    this.#options.counters.forget(counter);
    this.#evicted++;
  }

  async #makeRoom(wantedBytes: number): Promise<void> {
    try {
      const { counters, engine, identity, own, isTrusted } = this.#options;
      if (identity.document.hasEvicted !== true) await identity.change({ hasEvicted: true });
      // Twice around: the first time takes away the mark of having been used.
      for (let looked = 0; isTrusted() && counters.bytes > wantedBytes && looked <= 2 * counters.count; ) {
        const looks = Math.min(LOOKED_AT_MAX, counters.count);
        await engine.turn(looks * LOOK_STEPS);
        const { ordinal } = own();
        const leaving = this.#choose(wantedBytes, looks);
        looked += looks;
        // Of one that is cold nothing is known here: what the engine has of it stays.
        const known = leaving.filter(({ warmth }) => warmth === 'warm');
        const slots = known.map(({ name }): LocalSlot => ({ name, ordinal, net: 0n }));
        for (const counter of leaving) this.#leave(counter);
        // Whoever wants one of them back reads the engine after this.
        await dropSlots(engine, slots);
      }
    } catch (error) {
      this.#options.failed(error);
    }
  }

  /** The clock algorithm: a counter that was used since the hand last came by gets another round. */
  #choose(wantedBytes: number, looks: number): SharedCounter[] {
    const { counters } = this.#options;
    const leaving: SharedCounter[] = [];
    const perCounter = counters.bytes / Math.max(1, counters.count);
    const wanted = Math.min(DROPPED_AT_ONCE, Math.ceil((counters.bytes - wantedBytes) / perCounter));
    // At most once around: nobody is chosen twice.
    for (let i = 0; i < looks && leaving.length < wanted; i++) {
      if (this.#hand >= counters.count) this.#hand = 0;
      const counter = counters.at(this.#hand++);
      if (counter === undefined || counter.pins > 0 || counter.warmth === 'partial') continue;
      if (counter.isUsed) counter.isUsed = false;
      else if (counter.warmth === 'cold' || this.#isSafe(counter)) leaving.push(counter);
    }
    return leaving;
  }

  /** Whether the store has everything of it. */
  #isSafe({ name, ownNet, durableNet }: SharedCounter): boolean {
    return ownNet === durableNet && !this.#options.publisher.isUnconfirmed(name);
  }
}
