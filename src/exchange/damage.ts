/**
 * Impossible data from the store: an unreadable record, or one version of a slot with two contents. Each is reported
 * once by name, and counted. A counter with a damaged record answers `store_damaged`; all others continue. This node
 * sends its state of the counter to the store again, where it replaces the damaged part.
 */

import type { DamagedState, ReplicaId } from '../store/slot-store.ts';
import { type Own, stateAgain } from './local-slots.ts';
import type { Publisher } from './publisher.ts';
import type { SharedCounters } from './shared-counters.ts';
import type { SlotJournal } from './slot-journal.ts';

/** Names and replicas remembered as reported, at most; beyond that they are reported again. */
const REPORTED_MAX = 10_000;

export interface DamageOptions {
  readonly counters: () => SharedCounters;
  readonly publisher: () => Publisher;
  readonly engine: SlotJournal;
  readonly own: () => Own;
  readonly report: (what: string) => void;
  readonly failed: (error: unknown) => void;
}

export class Damage {
  readonly #options: DamageOptions;
  /** Counters whose records cannot be read. */
  readonly #names = new Set<string>();
  readonly #forked = new Set<ReplicaId>();
  #found = 0;

  constructor(options: DamageOptions) {
    this.#options = options;
  }

  /** How often anything damaged was found. */
  get found(): number {
    return this.#found;
  }

  /** The store's record of a counter cannot be read. */
  unreadable({ name, why }: DamagedState): void {
    this.#found++;
    const counter = this.#options.counters().find(name);
    counter?.damage();
    const what = `the store's record of counter ${JSON.stringify(name)} is damaged: ${why}`;
    if (this.#isNew(this.#names, name, what)) this.#tellAgain(name);
  }

  /** The record can be read again. */
  mended(name: string): void {
    if (this.#names.size > 0) this.#names.delete(name);
  }

  /** One version of a replica's slot came with two contents. */
  forked(name: string, replica: ReplicaId): void {
    this.#found++;
    const what =
      `replica ${replica} has counted twice under one id, first seen at counter ${JSON.stringify(name)}: ` +
      'its directory and the store were put back together; the larger count is kept';
    this.#isNew(this.#forked, replica, what);
  }

  /** The store has newer slots of this replica than it has ever written. */
  ahead(replica: ReplicaId): void {
    this.#found++;
    const what =
      `the store has a newer count of this replica (${replica}) than it ever wrote: it goes on under another id; ` +
      'what it counted before stays as the store has it where that is newer';
    this.#isNew(this.#forked, replica, what);
  }

  #isNew(reported: Set<string>, key: string, what: string): boolean {
    if (reported.has(key)) return false;
    if (reported.size === REPORTED_MAX) reported.clear();
    reported.add(key);
    this.#options.report(what);
    return true;
  }

  #tellAgain(name: string): void {
    const { counters, publisher, engine, own, failed } = this.#options;
    const counter = counters().find(name);
    if (counter !== undefined) {
      for (const [replica, slot] of counter.slots) publisher().put({ name, replica, ...slot });
      if (counter.cut.version > 0n) publisher().putCut({ name, cut: counter.cut });
    }
    // Its own slot comes from the durable stream, as always.
    stateAgain(engine, [name], own().ordinal).catch(failed);
  }
}
