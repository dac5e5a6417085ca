/**
 * How a replica leaves its region: with everything in the store and a baton there, or as it is if the store fails or
 * time runs out.
 */
import type { Clock } from '../host/host.ts';
import type { SlotStore } from '../store/slot-store.ts';
import type { Cutter } from './cutter.ts';
import type { Follower } from './follower.ts';
import type { Heir } from './heir.ts';
import type { Incarnations } from './incarnations.ts';
import type { KeptCuts } from './kept-cuts.ts';
import type { Loops } from './loops.ts';
import { becomesTrue } from './pause.ts';
import type { Publisher } from './publisher.ts';
import type { Whole } from './whole.ts';

export interface ClosingOptions {
  readonly clock: Clock;
  readonly store: SlotStore;
  readonly publisher: Publisher;
  readonly follower: Follower;
  readonly heir: Heir;
  readonly whole: Whole;
  readonly loops: Loops;
  readonly cutter: Cutter;
  readonly kept: KeptCuts;
  readonly incarnations: Incarnations;
  /** Whether the store is known not to answer. */
  readonly isAway: () => boolean;
  /** Sends everything that was counted to the store. @returns whether that succeeded in time */
  readonly confirmAll: (timeoutMs: number) => Promise<boolean>;
  /** Whether the store has again what it may have lost. */
  readonly isReasserted: () => boolean;
  readonly failed: (error: unknown) => void;
}

export class Closing {
  readonly #options: ClosingOptions;
  #hasBegun = false;

  constructor(options: ClosingOptions) {
    this.#options = options;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** See `Region.close`. */
  async close(timeoutMs: number, idle: Promise<void>): Promise<boolean> {
    this.#hasBegun = true;
    const { clock, store, publisher, follower, loops, kept, isAway, confirmAll, failed } = this.#options;
    const timer = clock.schedule(isAway() ? 0 : timeoutMs, () => this.giveUp());
    await idle;
    const isConfirmed = (await confirmAll(timeoutMs)) && (await this.#isReasserted());
    this.#stop();
    const isHandedOn = isConfirmed && (await this.#leaveBaton());
    timer.cancel();
    this.giveUp();
    await Promise.all([store.close(), publisher.close(), follower.close(), loops.ended()]);
    await kept.save().catch(failed);
    await kept.close();
    return isHandedOn;
  }

  /** Ends everything that waits for the store. */
  giveUp(): void {
    const { cutter, publisher, store } = this.#options;
    this.#stop();
    cutter.stop();
    void publisher.close();
    void store.close();
  }

  #stop(): void {
    const { heir, loops, whole } = this.#options;
    heir.stop();
    loops.end();
    whole.stop();
  }

  /** With a baton the next start assumes that the store has everything of this incarnation. */
  async #isReasserted(): Promise<boolean> {
    const { clock, loops, isReasserted } = this.#options;
    await becomesTrue(clock, () => isReasserted() || loops.isOver);
    return isReasserted();
  }

  async #leaveBaton(): Promise<boolean> {
    const { publisher, incarnations, failed } = this.#options;
    try {
      await publisher.close();
      return await incarnations.leaveBaton();
    } catch (error) {
      // Then the next start counts as one more incarnation.
      failed(error);
      return false;
    }
  }
}
