/**
 * What failed groups touched and no durable group has told since: nobody knows what a crash would leave of it.
 * Grows by whole groups; empty again when one group has told all of it.
 */
import { GroupBuffer } from '../journal/group.ts';
import { Group } from './group.ts';
import type { StoredRecord } from './idempotency.ts';
import { NO_GROUP } from './records.ts';

export class Doubt {
  readonly #refs = new Set<number>();
  readonly #unsettled: StoredRecord[] = [];
  #horizonMs = 0;

  /** Whether a failed group touched the record. */
  has(ref: number): boolean {
    return this.#refs.has(ref);
  }

  add(group: Group): void {
    for (let i = 0; i < group.count; i++) this.#refs.add(group.refs[i]);
    for (const record of group.records) {
      record.unsettled = true;
      this.#unsettled.push(record);
    }
    this.#horizonMs = Math.max(this.#horizonMs, group.horizonMs);
  }

  /** A group that tells all of it again. */
  restatement(): Group {
    const group = new Group();
    group.reset(NO_GROUP, new GroupBuffer());
    for (const ref of this.#refs) group.late.push(ref);
    for (const record of this.#unsettled) group.records.push(record);
    group.horizonMs = this.#horizonMs;
    return group;
  }

  /** That group is durable. */
  clear(): void {
    for (const record of this.#unsettled) record.unsettled = false;
    this.#refs.clear();
    this.#unsettled.length = 0;
    this.#horizonMs = 0;
  }
}
