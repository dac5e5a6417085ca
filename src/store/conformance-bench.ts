/** Shared parts of the checks of a slot store. */
import { ok } from 'node:assert/strict';
import { noCut, total } from '../crdt/cut.ts';
import { type CounterState, merge } from '../crdt/merge.ts';
import type { Slot } from '../crdt/slot.ts';
import type { Changes, ReplicaId, SlotStore } from './slot-store.ts';

/** What a check needs from the store under test. */
export interface ConformanceBench {
  /** A further connection to the one store, as another replica would have it. */
  connect(): Promise<SlotStore>;
  /** A connection to an address where no store answers; its calls still end in time. */
  connectToNothing(): Promise<SlotStore>;
  /** 128 random bits as hexadecimal digits, for names and replicas. */
  randomId(): string;
}

export interface ConformanceCheck {
  readonly title: string;
  run(bench: ConformanceBench): Promise<void>;
}

/** A counter that no replica knows. */
export const NOTHING: CounterState<ReplicaId> = { slots: new Map(), cut: noCut() };
/** More than fits into one page or one statement. */
export const MANY = 2_500;

/** Runs on a connection of its own. */
export async function withStore(bench: ConformanceBench, run: (store: SlotStore) => Promise<void>): Promise<void> {
  const store = await bench.connect();
  try {
    await store.identity();
    await run(store);
  } finally {
    await store.close();
  }
}

/** The counter's state. */
export async function one(store: SlotStore, name: string): Promise<CounterState<ReplicaId>> {
  const [state] = await store.read([name]);
  ok(state !== undefined);
  return state;
}

/** Its slots. */
export async function slotsOf(store: SlotStore, name: string): Promise<ReadonlyMap<ReplicaId, Slot>> {
  return new Map((await one(store, name)).slots);
}

/** Its value. */
export async function totalOf(store: SlotStore, name: string): Promise<bigint> {
  const { slots, cut } = await one(store, name);
  return total(slots, cut);
}

/** Shorter to write. */
export function slot(version: bigint, net: bigint): Slot {
  return { version, net };
}

/** What `changes` has returned for every counter. */
export class SeenStates {
  readonly #states = new Map<string, CounterState<ReplicaId>>();

  take({ slots, cuts }: Pick<Changes, 'slots' | 'cuts'>): void {
    for (const { name, replica, version, net } of slots) {
      this.#take(name, { ...NOTHING, slots: new Map([[replica, slot(version, net)]]) });
    }
    for (const { name, cut } of cuts) this.#take(name, { ...NOTHING, cut });
  }

  total(name: string): bigint {
    const { slots, cut } = this.#states.get(name) ?? NOTHING;
    return total(slots, cut);
  }

  #take(name: string, state: CounterState<ReplicaId>): void {
    this.#states.set(name, merge(this.#states.get(name) ?? NOTHING, state));
  }
}
