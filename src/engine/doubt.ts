/**
 * The records and keys that failed groups touched and no durable group has restated: their state after a crash would be
 * unknown. Grows by whole groups. Empty again when one group has durably restated all of it as the first of a new
 * segment. Until then the failed segment is valid, with everything that the operating system has of it.
 *
 * It does not change meanwhile, because updates are refused; so it is encoded once, a part in each turn of the event
 * loop.
 */
import type { Clock } from '../host/host.ts';
import { JournalFailure } from '../journal/errors.ts';
import { GroupBuffer } from '../journal/group.ts';
import type { Journal } from '../journal/journal.ts';
import { Births } from './births.ts';
import { Group } from './group.ts';
import type { StoredRecord } from './idempotency.ts';
import { NO_GROUP } from './records.ts';
import { RefSet } from './ref-set.ts';

const REPAIR_DELAY_MS_MIN = 50;
const REPAIR_DELAY_MS_MAX = 1000;
/** Records and keys that are encoded, or reported, in a turn: some milliseconds. */
const PORTION = 8_192;

export interface Repair {
  readonly journal: Journal;
  readonly clock: Clock;
  /** Encodes what the group has besides its encoding. */
  readonly encode: (group: Group) => void;
  /** The group gets this number. */
  readonly number: (group: Group, sequence: bigint) => void;
  /** The state of these records is durable. */
  readonly told: (refs: readonly number[]) => void;
  readonly isGivenUp: () => boolean;
  /** An attempt failed; another one follows. */
  readonly failed: (error: JournalFailure) => void;
}

export class Doubt {
  readonly #refs = new RefSet();
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
   * Continues in a new segment that begins with all of it; retries until that succeeds.
   * @returns the durable group that restates it; undefined if it is given up
   */
  async settle(repair: Repair): Promise<Group | undefined> {
    const { journal, clock, number, isGivenUp, failed } = repair;
    const group = await this.#restatement(repair);
    for (let delayMs = REPAIR_DELAY_MS_MIN; !isGivenUp(); delayMs = Math.min(delayMs * 2, REPAIR_DELAY_MS_MAX)) {
      try {
        await journal.replace((sequence) => {
          number(group, sequence);
          return group.encoding;
        });
        await this.#clear(repair);
        return group;
      } catch (error) {
        if (!(error instanceof JournalFailure)) throw error;
        failed(error);
      }
      await new Promise<void>((resolve) => clock.schedule(delayMs, resolve));
    }
    return undefined;
  }

  async #restatement({ clock, encode, isGivenUp }: Repair): Promise<Group> {
    const group = new Group();
    group.reset(NO_GROUP, new GroupBuffer());
    for (const refs of this.#portions()) {
      if (isGivenUp()) return group;
      group.late.push(...refs);
      encode(group);
      group.late.length = 0;
      await nextTurn(clock);
    }
    for (let from = 0; from < this.#unsettled.length && !isGivenUp(); from += PORTION) {
      group.records.push(...this.#unsettled.slice(from, from + PORTION));
      encode(group);
      group.records.length = 0;
      await nextTurn(clock);
    }
    group.forgotten.addAll(this.#forgotten);
    encode(group);
    return group;
  }

  async #clear({ clock, told }: Repair): Promise<void> {
    for (const refs of this.#portions()) {
      told(refs);
      await nextTurn(clock);
    }
    for (const record of this.#unsettled) record.unsettled = false;
    this.#refs.clear();
    this.#unsettled.length = 0;
    this.#forgotten.clear();
  }

  *#portions(): Generator<number[]> {
    for (const refs of this.#refs.pages()) {
      for (let from = 0; from < refs.length; from += PORTION) yield refs.slice(from, from + PORTION);
    }
  }
}

function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve));
}
