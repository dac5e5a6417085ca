/**
 * Pages of counters in record order. Records never move, so a counter that exists throughout comes exactly once
 * however the table grows meanwhile. A cursor is a position and a keyed check of it, so that one that this
 * process never gave is refused instead of read from the middle of a block.
 */
import { CountingError } from '../counter/errors.ts';
import { Glob } from '../counter/glob.ts';
import { readInt64 } from '../counter/int64.ts';
import { Kind } from '../counter/key.ts';
import type { ScanEntry, ScanPage, ScanRequest } from '../counter/service.ts';
import type { Committer } from './committer.ts';
import { NameHash } from './hash.ts';
import { NO_GROUP, type Records } from './records.ts';
import { FIRST_UNIT, Meta, Slab, WALK_BLOCKS_MAX } from './slab.ts';

const CHECK_RANGE = 65_536;
/** A byte order mark at the front is part of the name like any other character. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export class Listing {
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #readsWait: boolean;
  readonly #check: NameHash;

  /** @param readsWait for what they show to be durable. @param hashKey 8 secret random bytes. */
  constructor(records: Records, committer: Committer, readsWait: boolean, hashKey: Uint8Array) {
    this.#records = records;
    this.#committer = committer;
    this.#readsWait = readsWait;
    this.#check = new NameHash(hashKey);
  }

  /**
   * The page, and the order of the group that must be durable before it may be shown.
   * @throws CountingError invalid_cursor, unavailable
   */
  page(request: ScanRequest, nowMs: number): { readonly page: ScanPage; readonly dependency: number } {
    const glob = request.match === undefined || request.match === '*' ? undefined : new Glob(request.match);
    const entries: ScanEntry[] = [];
    let dependency = NO_GROUP;
    const { slab } = this.#records;
    let at = request.cursor === undefined ? FIRST_UNIT : this.#position(request.cursor);
    let looked = 0;
    for (let blocks = 0; blocks < WALK_BLOCKS_MAX && at < slab.frontier; blocks++) {
      if (slab.isRecord(at)) {
        if (looked++ === request.count) break;
        if (this.#matches(at, glob)) {
          if (this.#committer.isUntold(at)) throw new CountingError('unavailable');
          if (this.#readsWait) dependency = Math.max(dependency, this.#records.touchedBy(at));
          if (this.#records.exists(at, nowMs)) entries.push(this.#entry(at));
        }
      }
      at = slab.behind(at);
    }
    return { page: { entries, cursor: at < slab.frontier ? this.#cursor(at) : undefined }, dependency };
  }

  #matches(ref: number, glob: Glob | undefined): boolean {
    const meta = this.#records.meta(ref);
    if (((meta >>> Meta.kindShift) & Meta.kindMask) !== Kind.counter) return false;
    const start = Slab.keyByte(ref);
    return (
      glob?.matches(this.#records.slab.bytes[Slab.piece(ref)], start, start + (meta & Meta.nameLengthMask)) ?? true
    );
  }

  #entry(ref: number): ScanEntry {
    const piece = Slab.piece(ref);
    const lanes = this.#records.slab.lanes[piece];
    const at = Slab.lane(ref);
    const start = Slab.keyByte(ref);
    return {
      name: utf8.decode(this.#records.slab.bytes[piece].subarray(start, start + (lanes[at + 3] & Meta.nameLengthMask))),
      value: readInt64(lanes, at),
      deadlineMs: this.#records.deadlines.get(ref),
      updatedAtSeconds: lanes[at + 2] >>> 0,
    };
  }

  #cursor(ref: number): string {
    return String(ref * CHECK_RANGE + this.#checkOf(ref));
  }

  #position(cursor: string): number {
    const number = /^[1-9][0-9]{0,15}$/.test(cursor) ? Number(cursor) : 0;
    const ref = Math.floor(number / CHECK_RANGE);
    const isOurs = ref > 0 && ref < this.#records.slab.frontier && number % CHECK_RANGE === this.#checkOf(ref);
    if (!isOurs) throw new CountingError('invalid_cursor');
    return ref;
  }

  #checkOf(ref: number): number {
    const view = new DataView(Uint32Array.of(ref).buffer);
    return this.#check.of(0, view, 0, view.byteLength) & (CHECK_RANGE - 1);
  }
}
