/**
 * What failed groups touched and no durable group has told since: nobody knows what a crash would leave of it.
 * Grows by whole groups; empty again when one group has told all of it, durably, as the first of a new segment. Until then the
 * segment that failed counts with all that the system has of it.
 */
import type { Clock } from '../host/host.ts';
import { JournalFailure } from '../journal/errors.ts';
import { GroupBuffer } from '../journal/group.ts';
import type { Journal } from '../journal/journal.ts';
import { Births } from './births.ts';
import { Group } from './group.ts';
import type { StoredRecord } from './idempotency.ts';
import { NO_GROUP } from './records.ts';

const REPAIR_DELAY_MS_MIN = 50;
const REPAIR_DELAY_MS_MAX = 1000;

export interface Repair {
  readonly journal: Journal;
  readonly clock: Clock;
  /** Completes the group, which gets this number. */
  readonly seal: (group: Group, sequence: bigint) => void;
  readonly isGivenUp: () => boolean;
  /** An attempt has failed; another one follows. */
  readonly onFailure: (error: JournalFailure) => void;
}

export class Doubt {
  readonly #refs = new Set<number>();
  readonly #unsettled: StoredRecord[] = [];
  readonly #forgotten = new Births();

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
    this.#forgotten.addAll(group.forgotten);
  }

  /**
   * Goes on in a new segment that begins with all of it: tries until that has succeeded.
   * @returns the group that tells it, durable by then; undefined when it is given up
   */
  async settle({ journal, clock, seal, isGivenUp, onFailure }: Repair): Promise<Group | undefined> {
    for (let delayMs = REPAIR_DELAY_MS_MIN; !isGivenUp(); delayMs = Math.min(delayMs * 2, REPAIR_DELAY_MS_MAX)) {
      const group = this.#restatement();
      try {
        await journal.replace((sequence) => {
          seal(group, sequence);
          return group.encoding;
        });
        this.#clear();
        return group;
      } catch (error) {
        if (!(error instanceof JournalFailure)) throw error;
        onFailure(error);
      }
      await new Promise<void>((resolve) => clock.schedule(delayMs, resolve));
    }
    return undefined;
  }

  #restatement(): Group {
    const group = new Group();
    group.reset(NO_GROUP, new GroupBuffer());
    for (const ref of this.#refs) group.late.push(ref);
    for (const record of this.#unsettled) group.records.push(record);
    group.forgotten.addAll(this.#forgotten);
    return group;
  }

  #clear(): void {
    for (const record of this.#unsettled) record.unsettled = false;
    this.#refs.clear();
    this.#unsettled.length = 0;
    this.#forgotten.clear();
  }
}
