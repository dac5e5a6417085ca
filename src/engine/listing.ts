/**
 * Pages of counters in record order. Records never move, so a counter that exists throughout is listed exactly once, no
 * matter how the table grows meanwhile.
 */
import { CountingError } from '../counter/errors.ts';
import { Glob } from '../counter/glob.ts';
import { readInt64 } from '../counter/int64.ts';
import { Kind } from '../counter/key.ts';
import type { ScanEntry, ScanPage, ScanRequest } from '../counter/service.ts';
import type { Committer } from './committer.ts';
import { Cursors } from './cursors.ts';
import { NO_GROUP, type Records } from './records.ts';
import { FIRST_UNIT, Meta, Slab, WALK_BLOCKS_MAX } from './slab.ts';

/** The maximum number of names that a page examines, regardless of the request. */
const LOOKED_MAX = 2_000;
const LOOK_STEPS = 4;
/** A leading byte order mark is part of the name like any other character. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Records of one kind, and the replica's state when they were read. */
export interface DurablePage {
  readonly entries: readonly DurableEntry[];
  /** For the next page; 0 at the end. */
  readonly cursor: number;
  /** The newest durable group: each entry has the state as of this group. */
  readonly sequence: bigint;
}

export interface DurableEntry {
  readonly name: string;
  /** The first word of the key's suffix, 0 if there is none. */
  readonly ordinal: number;
  readonly value: bigint;
  readonly hasDeadline: boolean;
}

/** A page, the order of the group that must be durable before it may be shown, and its steps: see `turns.ts`. */
export interface ListingPage {
  readonly page: ScanPage;
  readonly dependency: number;
  readonly steps: number;
}

export class Listing {
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #readsWait: boolean;
  readonly #cursors: Cursors;

  /** @param readsWait for what they show to be durable. @param hashKey 8 secret random bytes. */
  constructor(records: Records, committer: Committer, readsWait: boolean, hashKey: Uint8Array) {
    this.#records = records;
    this.#committer = committer;
    this.#readsWait = readsWait;
    this.#cursors = new Cursors(records.slab, hashKey);
  }

  /**
   * The page, and the order of the group that must be durable before it may be shown.
   * @throws CountingError invalid_cursor, unavailable
   */
  page(request: ScanRequest, nowMs: number): ListingPage {
    const glob = request.match === undefined || request.match === '*' ? undefined : new Glob(request.match);
    const entries: ScanEntry[] = [];
    let dependency = NO_GROUP;
    const { slab } = this.#records;
    let at = request.cursor === undefined ? FIRST_UNIT : this.#cursors.take(request.cursor);
    let looked = 0;
    let blocks = 0;
    const count = Math.min(request.count, LOOKED_MAX);
    for (; blocks < WALK_BLOCKS_MAX && at < slab.frontier; blocks++) {
      // Records of other kinds, which are many on a node with a store, cost only the visit of their block.
      if (slab.isRecord(at) && this.#records.kind(at) === Kind.counter) {
        if (looked === count) break;
        looked++;
        if (this.#matches(at, glob)) {
          if (this.#committer.isUntold(at)) throw new CountingError('unavailable');
          if (this.#readsWait) dependency = Math.max(dependency, this.#records.touchedBy(at));
          if (this.#records.exists(at, nowMs)) entries.push(this.#entry(at));
        }
      }
      at = slab.behind(at);
    }
    const steps = 1 + (blocks >>> 3) + looked * (LOOK_STEPS + (glob?.steps ?? 0));
    return { page: { entries, cursor: at < slab.frontier ? this.#cursors.give(at) : undefined }, dependency, steps };
  }

  #matches(ref: number, glob: Glob | undefined): boolean {
    const meta = this.#records.meta(ref);
    const start = Slab.keyByte(ref);
    return (
      glob?.matches(this.#records.slab.bytes[Slab.piece(ref)], start, start + (meta & Meta.nameLengthMask)) ?? true
    );
  }

  durablePage(kind: Kind, cursor: number, count: number): DurablePage {
    const records = this.#records;
    const { slab } = records;
    const entries: DurableEntry[] = [];
    let at = cursor === 0 ? FIRST_UNIT : cursor;
    for (let blocks = 0; blocks < WALK_BLOCKS_MAX && at < slab.frontier && entries.length < count; blocks++) {
      if (slab.isRecord(at) && records.kind(at) === kind && this.#isSettled(at)) entries.push(this.#durableEntry(at));
      at = slab.behind(at);
    }
    return { entries, cursor: at < slab.frontier ? at : 0, sequence: this.#committer.durableSequence };
  }

  slotOrdinals(): ReadonlySet<number> {
    const { slab } = this.#records;
    const ordinals = new Set<number>();
    for (let at = FIRST_UNIT; at < slab.frontier; at = slab.behind(at)) {
      if (slab.isRecord(at) && this.#records.kind(at) === Kind.slot) ordinals.add(this.#ordinalOf(at));
    }
    return ordinals;
  }

  #ordinalOf(ref: number): number {
    const suffix = Slab.keyByte(ref) + (this.#records.meta(ref) & Meta.nameLengthMask);
    return this.#records.slab.views[Slab.piece(ref)].getUint32(suffix, true);
  }

  #isSettled(ref: number): boolean {
    const isDeleted = (this.#records.meta(ref) & Meta.deleted) !== 0;
    return !isDeleted && this.#records.touchedBy(ref) === NO_GROUP && !this.#committer.isUntold(ref);
  }

  #durableEntry(ref: number): DurableEntry {
    const { slab } = this.#records;
    const meta = this.#records.meta(ref);
    const ordinal = this.#records.kind(ref) === Kind.counter ? 0 : this.#ordinalOf(ref);
    return {
      name: this.#name(ref),
      ordinal,
      value: readInt64(slab.lanes[Slab.piece(ref)], Slab.lane(ref)),
      hasDeadline: (meta & Meta.deadline) !== 0,
    };
  }

  #name(ref: number): string {
    const start = Slab.keyByte(ref);
    const end = start + (this.#records.meta(ref) & Meta.nameLengthMask);
    return utf8.decode(this.#records.slab.bytes[Slab.piece(ref)].subarray(start, end));
  }

  #entry(ref: number): ScanEntry {
    const lanes = this.#records.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    return {
      name: this.#name(ref),
      value: readInt64(lanes, at),
      deadlineMs: this.#records.deadlines.get(ref),
      updatedAtSeconds: lanes[at + 2] >>> 0,
    };
  }
}
