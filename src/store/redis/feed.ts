/**
 * Reads the feeds of the buckets. A cursor states the term, and the position up to which each bucket was read.
 *
 * The term in a cursor is never newer than the positions read under it: it is read before or together with them, or
 * found unchanged afterwards. So a failover between two polls, or in the middle of one, makes the next answer at the
 * latest a `resync`, even if by then the bucket's version has passed the one in the cursor again.
 */
import { isName } from '../input.ts';
import type { Changes, DamagedState, NamedCut, NamedSlot, ReplicaId } from '../slot-store.ts';
import type { Call } from './call.ts';
import {
  type BucketKeys,
  DAMAGED_CUT,
  digest,
  forEachSlot,
  type Layout,
  newEpoch,
  parseCut,
  parsePosition,
} from './layout.ts';
import type { Lineage } from './lineage.ts';
import { CHANGES, OPEN, RENAME, run } from './scripts.ts';

const PAGE_NAMES = 500;
/** A reader that is further behind than this many pages of one bucket rereads everything. */
const PAGES_MAX = 20;
const BEGIN_TRIES = 5;

const CURSOR = /^([0-9a-f]{32}) ((?:[0-9a-f]+:\d+ ?)+)$/;

/** The result of reading the feed. */
export class Told {
  readonly slots: NamedSlot[] = [];
  readonly cuts: NamedCut[] = [];
  readonly damaged: DamagedState[] = [];
  readonly #reader: ReplicaId | undefined;

  /** @param reader whose slots are left out */
  constructor(reader?: ReplicaId) {
    this.#reader = reader;
  }

  /** A counter, as its two fields hold it. */
  add(name: string, slots: string | null, cut: string | null): void {
    if (!isName(name)) {
      this.damaged.push({ name, why: 'its name is not one that a counter can have' });
      return;
    }
    const why = forEachSlot(slots ?? '', this.#reader, (replica, version, net) =>
      this.slots.push({ name, replica, version, net }),
    );
    if (why !== undefined) this.damaged.push({ name, why });
    if (cut === null) return;
    const parsed = parseCut(cut);
    if (parsed === undefined) this.damaged.push({ name, why: DAMAGED_CUT });
    else this.cuts.push({ name, cut: parsed });
  }
}

/** A part of a bucket's feed. */
export interface FeedPage {
  /** Where the page ends. */
  readonly position: string;
  /** Whether that is the end of the feed. */
  readonly isLast: boolean;
}

export interface Beginning {
  readonly term: string;
  /** Of each bucket. */
  readonly positions: readonly string[];
}

export class Feed {
  readonly #layout: Layout;
  readonly #lineage: Lineage;
  /** The buckets that the last poll found unchanged. */
  readonly #quiet: boolean[] = [];

  constructor(layout: Layout, lineage: Lineage) {
    this.#layout = layout;
    this.#lineage = lineage;
  }

  /** The changes after the cursor; undefined if they cannot be determined. */
  async follow(call: Call, cursor: string | undefined, reader?: ReplicaId): Promise<Changes | undefined> {
    const since = this.#parse(cursor);
    return since && this.#follow(call, since, new Told(reader));
  }

  /** The positions of all buckets, created if necessary, and the term they were read under. */
  async begin(call: Call): Promise<Beginning> {
    let before = await this.#lineage.read(call);
    for (let tries = 0; tries < BEGIN_TRIES; tries++) {
      const positions = await Promise.all(this.#layout.buckets.map((keys) => this.#open(call, keys)));
      const after = await this.#lineage.read(call);
      if (`${before}` === `${after}`) return { term: termOf(after, positions), positions };
      before = after;
    }
    throw new Error('its masters change faster than they can be read');
  }

  /**
   * Adds the changes after the position `since` to the result.
   * @returns undefined if the bucket is not the one of the position, or was rolled back to before it
   */
  async page(call: Call, { state, feed }: BucketKeys, since: string, told: Told): Promise<FeedPage | undefined> {
    const answer = (await run(call, CHANGES, [state, feed], [since, `${PAGE_NAMES}`])) as ChangesAnswer;
    if (answer === null) return { position: since, isLast: true };
    const [position = '', last, names = [], fields = []] = answer;
    const [now, then] = [parsePosition(position), parsePosition(since)];
    if (now === undefined || now.epoch !== then?.epoch) return undefined;
    if (now.version < then.version) {
      // From now on it is another bucket, even for readers that would find its version grown again.
      await run(call, RENAME, [state, feed], [newEpoch(), position]);
      return undefined;
    }
    for (const [i, name] of names.entries()) told.add(name, fields[2 * i] ?? null, fields[2 * i + 1] ?? null);
    const isLast = names.length < PAGE_NAMES;
    return { position: isLast ? position : `${now.epoch}:${last}`, isLast };
  }

  async #follow(call: Call, { term, positions }: Beginning, told: Told): Promise<Changes | undefined> {
    // Sent together: a quiet poll is one packet to each master and one back.
    const [lineage, ...drained] = await Promise.all([
      this.#lineage.read(call),
      ...positions.map((position, i) => this.#drain(call, i, position, told)),
    ]);
    const now = drained.filter((position) => position !== undefined);
    // The epochs are as they were, or there would be no page.
    if (now.length < positions.length || termOf(lineage, positions) !== term) return undefined;
    const { slots, cuts, damaged } = told;
    return { slots, cuts, damaged, resync: false, cursor: cursorOf({ term, positions: now }), term };
  }

  /** @returns the position up to which the bucket was read; undefined if that is not possible */
  async #drain(call: Call, bucket: number, since: string, told: Told): Promise<string | undefined> {
    const keys = this.#layout.buckets[bucket] as BucketKeys;
    // Most buckets are quiet, and this costs a server a tenth of a script; a bucket that just had changes will have
    // more.
    const isQuiet = this.#quiet[bucket] ?? true;
    if (isQuiet && (await call.send(keys.state, ['HGET', keys.state, 'b'])) === since) return since;
    let position = since;
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const page = await this.page(call, keys, position, told);
      this.#quiet[bucket] = page?.position === since;
      if (page === undefined) return undefined;
      if (page.isLast) return page.position;
      position = page.position;
    }
    return undefined;
  }

  async #open(call: Call, { state, feed }: BucketKeys): Promise<string> {
    return String(await run(call, OPEN, [state, feed], [newEpoch()]));
  }

  #parse(cursor: string | undefined): Beginning | undefined {
    const [, term, text] = CURSOR.exec(cursor ?? '') ?? [];
    if (term === undefined || text === undefined) return undefined;
    const positions = text.split(' ');
    return positions.length === this.#layout.buckets.length && positions.every(parsePosition)
      ? { term, positions }
      : undefined;
  }
}

/**
 * Nothing new; or the position, the version of the last name, the names, and for each the fields of its slots and cut.
 */
type ChangesAnswer = null | [] | [string, string, string[], (string | null)[]];

/** A flushed server is recognised by the new epochs of its buckets. */
function termOf(lineage: readonly string[], positions: readonly string[]): string {
  return digest([...lineage, ...positions.map((position) => parsePosition(position)?.epoch ?? '')]);
}

export function cursorOf({ term, positions }: Beginning): string {
  return `${term} ${positions.join(' ')}`;
}
