/**
 * Reads the feeds of the buckets. A cursor says under which term which bucket was read up to which record.
 *
 * The term in a cursor is never newer than what was read under it: it is looked up before or beside the records that it
 * goes with, or found unchanged after them. So a failover between two polls, or in the middle of one, makes the next answer
 * at the latest a `resync`, even if by then the bucket's version has passed the one in the cursor again.
 */
import type { CounterState } from '../../crdt/merge.ts';
import type { Changes, NamedState, ReplicaId } from '../slot-store.ts';
import { type BucketKeys, digest, type Layout, newEpoch, parseRecord, parseState } from './layout.ts';
import type { Call } from './line.ts';
import type { Lineage } from './lineage.ts';
import { CHANGES, OPEN, run } from './scripts.ts';

const PAGE_NAMES = 500;
/** Whoever is further behind than this many pages of one bucket reads everything anew. */
const PAGES_MAX = 20;
const BEGIN_TRIES = 5;

const CURSOR = /^([0-9a-f]{32}) ((?:[0-9a-f]+:\d+ ?)+)$/;

/** A part of a bucket's feed. */
export interface FeedPage {
  readonly states: readonly NamedState[];
  /** Where the page ends. */
  readonly record: string;
  /** Whether that is the end of the feed. */
  readonly isLast: boolean;
}

export interface Beginning {
  readonly term: string;
  /** Of each bucket. */
  readonly records: readonly string[];
}

export class Feed {
  readonly #layout: Layout;
  readonly #lineage: Lineage;
  /** Which buckets the last poll found as they were. */
  readonly #quiet: boolean[] = [];

  constructor(layout: Layout, lineage: Lineage) {
    this.#layout = layout;
    this.#lineage = lineage;
  }

  async changes(call: Call, cursor: string | undefined): Promise<Changes> {
    const since = this.#parse(cursor);
    const fresh = since && (await this.#follow(call, since));
    if (fresh !== undefined) return fresh;
    const now = await this.begin(call);
    return { states: [], resync: true, cursor: cursorOf(now), term: now.term };
  }

  /** The records of all buckets, made if need be, and the term that they have been read under. */
  async begin(call: Call): Promise<Beginning> {
    let before = await this.#lineage.read(call);
    for (let tries = 0; tries < BEGIN_TRIES; tries++) {
      const records = await Promise.all(this.#layout.buckets.map((keys) => this.#open(call, keys)));
      const after = await this.#lineage.read(call);
      if (`${before}` === `${after}`) return { term: termOf(after, records), records };
      before = after;
    }
    throw new Error('its masters change faster than they can be read');
  }

  /** The record before anything in a bucket. */
  async start(call: Call, keys: BucketKeys): Promise<string> {
    return `${parseRecord(await this.#open(call, keys))?.epoch}:0`;
  }

  /** @returns undefined when the bucket is not the one of the record, or has been rolled back behind it. */
  async page(call: Call, { state, feed }: BucketKeys, since: string): Promise<FeedPage | undefined> {
    const answer = (await run(call, CHANGES, [state, feed], [since, `${PAGE_NAMES}`])) as ChangesAnswer;
    if (answer === null) return { states: [], record: since, isLast: true };
    const [record = '', last, names = [], fields = []] = answer;
    const [now, then] = [parseRecord(record), parseRecord(since)];
    if (now === undefined || now.epoch !== then?.epoch || now.version < then.version) return undefined;
    const states = names.map((name, i) => ({ name, state: stateAt(fields, i) }));
    const isLast = names.length < PAGE_NAMES;
    return { states, record: isLast ? record : `${now.epoch}:${last}`, isLast };
  }

  async #follow(call: Call, { term, records }: Beginning): Promise<Changes | undefined> {
    // Under way together: a quiet poll is one packet to each master, and one back.
    const [lineage, ...buckets] = await Promise.all([
      this.#lineage.read(call),
      ...records.map((record, i) => this.#drain(call, i, record)),
    ]);
    const states: NamedState[] = [];
    const now: string[] = [];
    for (const bucket of buckets) {
      if (bucket === undefined) return undefined;
      for (const named of bucket.states) states.push(named);
      now.push(bucket.record);
    }
    // The epochs are as they were, or there would be no page.
    if (termOf(lineage, records) !== term) return undefined;
    return { states, resync: false, cursor: cursorOf({ term, records: now }), term };
  }

  async #drain(call: Call, bucket: number, record: string): Promise<Omit<FeedPage, 'isLast'> | undefined> {
    const keys = this.#layout.buckets[bucket] as BucketKeys;
    // Most buckets are quiet, and this costs a server a tenth of what a script does; where there was something a moment ago
    // there will be more.
    const isQuiet = this.#quiet[bucket] ?? true;
    if (isQuiet && (await call.send(keys.state, ['HGET', keys.state, 'b'])) === record) return { states: [], record };
    let page = await this.page(call, keys, record);
    this.#quiet[bucket] = page?.record === record;
    if (page === undefined || page.isLast) return page;
    const states = [...page.states];
    for (let pages = 1; pages < PAGES_MAX; pages++) {
      page = await this.page(call, keys, page.record);
      if (page === undefined) return undefined;
      for (const named of page.states) states.push(named);
      if (page.isLast) return { states, record: page.record };
    }
    return undefined;
  }

  async #open(call: Call, { state, feed }: BucketKeys): Promise<string> {
    return String(await run(call, OPEN, [state, feed], [newEpoch()]));
  }

  #parse(cursor: string | undefined): Beginning | undefined {
    const [, term, text] = CURSOR.exec(cursor ?? '') ?? [];
    if (term === undefined || text === undefined) return undefined;
    const records = text.split(' ');
    return records.length === this.#layout.buckets.length && records.every(parseRecord) ? { term, records } : undefined;
  }
}

/** Nothing new; or the record, the version of the last name, the names, and for each the fields of its slots and cut. */
type ChangesAnswer = null | [] | [string, string, string[], (string | null)[]];

function stateAt(fields: readonly (string | null)[], index: number): CounterState<ReplicaId> {
  return parseState(fields[2 * index] ?? null, fields[2 * index + 1] ?? null);
}

/** A flushed server is known by the epochs of its buckets, which are made anew. */
function termOf(lineage: readonly string[], records: readonly string[]): string {
  return digest([...lineage, ...records.map((record) => parseRecord(record)?.epoch ?? '')]);
}

function cursorOf({ term, records }: Beginning): string {
  return `${term} ${records.join(' ')}`;
}
