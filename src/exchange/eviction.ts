/**
 * Keeps a replica within its memory: counters that were not used lately, and of which a durable store has confirmed
 * everything, are evicted from memory and disk and loaded again on their next use. At the limit, calls that need
 * further counters wait for evictions. If no durable store has the counters, or too few can be evicted, new names are
 * refused.
 */

import type { Identity } from './identity.ts';
import { dropSlots, type LocalSlot, type Own } from './local-slots.ts';
import { pause } from './pause.ts';
import { Rest, type RestOptions } from './rest.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SlotJournal } from './slot-journal.ts';

/** Counters checked in one turn, so that requests do not wait long. */
const LOOKED_AT_MAX = 10_000;
const LOOK_STEPS = 2;
const DROPPED_AT_ONCE = 4_000;
/** Evictions begin before the limit: new names need not wait for them. */
const BEGIN_AT = 0.9;
const LOOK_AGAIN_MS = 10;

export interface EvictionOptions extends RestOptions {
  readonly engine: SlotJournal;
  readonly identity: Identity;
  readonly own: () => Own;
  /** Undefined: no limit. */
  readonly memoryBytes?: number | undefined;
  /** Whether the store confirms: while it is unreachable, counters updated since cannot be evicted. */
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

  /** Counters evicted since the start. */
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
   * Makes room in the background if there is little. Call from time to time: memory also grows with the counts of
   * others.
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

  /** Evicts counters that were deleted long ago. Call repeatedly. */
  rest(): void {
    this.#rest.step();
  }

  /**
   * This directory's own counts stay in the engine: counting continues from there even while the store is unreachable.
   */
  #letGo(counter: SharedCounter): void {
    if (!counter.isPinned && counter.warmth === 'warm' && this.#isSafe(counter)) this.#leave(counter);
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
      // Twice around: the first round clears the marks of use.
      for (let looked = 0; isTrusted() && counters.bytes > wantedBytes && looked <= 2 * counters.count; ) {
        const looks = Math.min(LOOKED_AT_MAX, counters.count);
        await engine.turn(looks * LOOK_STEPS);
        const { ordinal } = own();
        const leaving = this.#choose(wantedBytes, looks);
        looked += looks;
        // Nothing is known of a cold counter: its records in the engine stay.
        const known = leaving.filter(({ warmth }) => warmth === 'warm');
        const slots = known.map(({ name }): LocalSlot => ({ name, ordinal, net: 0n }));
        for (const counter of leaving) this.#leave(counter);
        // A later load of one of them reads the engine after this.
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
    // At most once around: no counter is chosen twice.
    for (let i = 0; i < looks && leaving.length < wanted; i++) {
      if (this.#hand >= counters.count) this.#hand = 0;
      const counter = counters.at(this.#hand++);
      if (counter === undefined || counter.isPinned || counter.warmth === 'partial') continue;
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
