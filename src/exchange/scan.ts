/** Listing what a replica holds: first the counters that are its own alone, then the shared ones that it knows. */
import { CountingError } from '../counter/errors.ts';
import { Glob } from '../counter/glob.ts';
import { fitsInt64 } from '../counter/int64.ts';
import type { PolicyTable } from '../counter/policy.ts';
import type { ScanEntry, ScanPage, ScanRequest } from '../counter/service.ts';
import type { SharedCounters } from './shared-counters.ts';
import type { SlotJournal } from './slot-journal.ts';
import { COUNTER_STEPS, type Turns } from './turns.ts';

const encoder = new TextEncoder();
/** Cursors of shared counters are odd: 2 n + 1 goes on before position n; those of the engine are doubled. */
const SHARED = 1n;
/** Of the engine, without a local counter: a page of these is a turn of the event loop at most. */
const EMPTY_PAGES_MAX = 100;
/** The maximum number of shared counters that a page examines, regardless of the request. */
const LOOKED_MAX = 2_000;

/** @throws CountingError invalid_cursor, unavailable */
export async function scanShared(
  engine: Pick<SlotJournal, 'scan' | 'turn'>,
  counters: SharedCounters,
  request: ScanRequest,
  policies: PolicyTable,
): Promise<ScanPage> {
  const cursor = request.cursor === undefined ? undefined : parseCursor(request.cursor);
  if (cursor !== undefined && (cursor & 1n) === SHARED)
    return pageOfShared(engine, counters, request, Number(cursor >> 1n));
  // The remaining records of the engine are not listed: slots, and counts from before there was a store.
  if (policies.localPatterns.length === 0) return pageOfShared(engine, counters, request, counters.count);
  let from = cursor === undefined ? undefined : `${cursor >> 1n}`;
  for (let pages = 1; ; pages++) {
    const page = await engine.scan({ ...request, cursor: from });
    const entries = page.entries.filter(({ name }) => !policies.isShared(name));
    from = page.cursor;
    if (from === undefined) return { entries, cursor: sharedCursor(counters.count) };
    if (entries.length > 0 || pages === EMPTY_PAGES_MAX) return { entries, cursor: `${BigInt(from) << 1n}` };
  }
}

/** Backwards: see `SharedCounters`. */
async function pageOfShared(
  turns: Turns,
  counters: SharedCounters,
  { match, count }: ScanRequest,
  from: number,
): Promise<ScanPage> {
  const glob = match === undefined || match === '*' ? undefined : new Glob(match);
  const looks = Math.min(count, LOOKED_MAX, counters.count);
  await turns.turn(looks * (COUNTER_STEPS + (glob?.steps ?? 0)));
  const entries: ScanEntry[] = [];
  let at = Math.min(from, counters.count) - 1;
  for (let looked = 0; at >= 0 && looked < looks; looked++, at--) {
    const counter = counters.at(at);
    if (counter === undefined || counter.warmth !== 'warm' || !counter.exists || !fitsInt64(counter.value)) continue;
    const bytes = encoder.encode(counter.name);
    if (glob?.matches(bytes, 0, bytes.length) === false) continue;
    const { name, durableValue: value, updatedAtSeconds } = counter;
    entries.push({ name, value, deadlineMs: undefined, updatedAtSeconds });
  }
  return { entries, cursor: at < 0 ? undefined : sharedCursor(at + 1) };
}

function sharedCursor(before: number): string | undefined {
  return before === 0 ? undefined : `${(BigInt(before) << 1n) | SHARED}`;
}

function parseCursor(text: string): bigint {
  if (!/^[1-9][0-9]{0,16}$/.test(text)) throw new CountingError('invalid_cursor');
  return BigInt(text);
}
