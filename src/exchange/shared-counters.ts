/**
 * The shared counters that this replica holds, by name; and in a list, for going through all of them while they come
 * and go: a counter that exists for the whole walk from the last to the first is seen at least once, because a counter
 * that leaves is replaced by the last one, which has been seen.
 */

import type { CounterState } from '../crdt/merge.ts';
import { assert } from '../std/assert.ts';
import type { NamedSlot, ReplicaId } from '../store/slot-store.ts';
import { NameMap } from './name-map.ts';
import { type CounterWatch, OwnId, SharedCounter, UNWATCHED } from './shared-counter.ts';

const KEEPS_VOIDS_UP_TO = 100_000;

export class SharedCounters {
  readonly #byName = new NameMap();
  readonly #list: SharedCounter[] = [];
  readonly #watch: CounterWatch;
  #own: OwnId;
  #bytes = 0;

  constructor(own: ReplicaId, watch: Omit<CounterWatch, 'resized'> = UNWATCHED) {
    this.#own = new OwnId(own);
    const resized = (bytes: number): void => {
      this.#bytes += bytes;
    };
    this.#watch = { ...watch, resized };
  }

  get count(): number {
    return this.#list.length;
  }

  /** An estimate of the memory that they take. */
  get bytes(): number {
    return this.#bytes;
  }

  find(name: string): SharedCounter | undefined {
    return this.#byName.find(name);
  }

  /** The counter whose name lies in `bytes[start, end)`. */
  findBytes(bytes: Buffer, start: number, end: number): SharedCounter | undefined {
    return this.#byName.findBytes(bytes, start, end);
  }

  /** The counter, a cold one if there was none. */
  take(name: string): SharedCounter {
    let counter = this.#byName.find(name);
    if (counter === undefined) {
      counter = new SharedCounter(name, this.#own, this.#watch);
      counter.position = this.#list.push(counter) - 1;
      this.#byName.set(counter);
      this.#bytes += counter.bytes;
    }
    return counter;
  }

  /** A call is done with it. Of names that were never counted on, only few are worth their memory. */
  unpin(counter: SharedCounter): void {
    if (counter.unpin() && this.#list.length > KEEPS_VOIDS_UP_TO && counter.isVoid) this.forget(counter);
  }

  forget(counter: SharedCounter): void {
    assert(!counter.isPinned, 'a counter that a call needs is not forgotten');
    assert(this.#list[counter.position] === counter, 'only a counter that is held is forgotten, once');
    const last = this.#list.pop() as SharedCounter;
    if (last !== counter) {
      last.position = counter.position;
      this.#list[last.position] = last;
    }
    counter.position = -1;
    this.#byName.delete(counter);
    this.#bytes -= counter.bytes;
  }

  /** The counter at a position of the list. */
  at(position: number): SharedCounter | undefined {
    return this.#list[position];
  }

  /** Takes what is newer in a counter's state, if it is held here. @returns all that is known of it */
  merge(name: string, state: CounterState<ReplicaId>, nowSeconds: number): CounterState<ReplicaId> {
    const counter = this.find(name);
    if (counter?.merge(state) === true) counter.updatedAtSeconds = nowSeconds;
    return counter?.known ?? state;
  }

  /** Takes what is newer, of counters that are held here. */
  mergeSlots(slots: readonly NamedSlot[], nowSeconds: number): void {
    for (const { name, replica, version, net } of slots) {
      if (replica === this.#own.replica) continue;
      const counter = this.find(name);
      if (counter?.mergeSlot(replica, { version, net }) === true) counter.updatedAtSeconds = nowSeconds;
    }
  }

  /** This replica goes on under another id. @param version the newest durable group */
  startAnew(own: ReplicaId, version: bigint): void {
    this.#own = this.#own.end(own, version);
  }
}
