/**
 * What the store has said and cannot be so: a record that cannot be read, or one version of a slot with two contents. Each is
 * reported once by name, and counted; counters go on without it, or answer `store_damaged`.
 */
import type { ReplicaId } from '../store/slot-store.ts';

/** Names and replicas remembered as reported, at most; beyond that they are reported again. */
const REPORTED_MAX = 10_000;

export class Damage {
  readonly #report: (what: string) => void;
  /** Counters whose records cannot be read. */
  readonly #names = new Set<string>();
  readonly #forked = new Set<ReplicaId>();
  #found = 0;

  constructor(report: (what: string) => void) {
    this.#report = report;
  }

  /** How often anything damaged was found. */
  get found(): number {
    return this.#found;
  }

  /** The store's record of a counter cannot be read, for this reason. */
  unreadable(name: string, why: string): void {
    this.#found++;
    this.#once(this.#names, name, `the store's record of counter ${JSON.stringify(name)} is damaged: ${why}`);
  }

  /** It can be read. */
  mended(name: string): void {
    this.#names.delete(name);
  }

  /** One version of a replica's slot came with two contents. */
  forked(name: string, replica: ReplicaId): void {
    this.#found++;
    const what =
      `replica ${replica} has counted twice under one id, first seen at counter ${JSON.stringify(name)}: ` +
      'its directory and the store were put back together; the larger count is kept';
    this.#once(this.#forked, replica, what);
  }

  #once(reported: Set<string>, key: string, what: string): void {
    if (reported.has(key)) return;
    if (reported.size === REPORTED_MAX) reported.clear();
    reported.add(key);
    this.#report(what);
  }
}
