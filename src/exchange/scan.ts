/** Listing what a replica holds: first the counters that are its own alone, then the shared ones that it knows. */
import { CountingError } from '../counter/errors.ts';
import { Glob } from '../counter/glob.ts';
import { fitsInt64 } from '../counter/int64.ts';
import type { PolicyTable } from '../counter/policy.ts';
import type { CountingService, ScanEntry, ScanPage, ScanRequest } from '../counter/service.ts';
import type { SharedCounters } from './shared-counters.ts';

const encoder = new TextEncoder();
/** Cursors of shared counters are odd: 2 n + 1 goes on before position n; those of the engine are doubled. */
const SHARED = 1n;

/** @throws CountingError invalid_cursor, unavailable */
export async function scanShared(
  engine: CountingService,
  counters: SharedCounters,
  request: ScanRequest,
  policies: PolicyTable,
): Promise<ScanPage> {
  const cursor = request.cursor === undefined ? undefined : parseCursor(request.cursor);
  if (cursor !== undefined && (cursor & 1n) === SHARED) return pageOfShared(counters, request, Number(cursor >> 1n));
  const page = await engine.scan({ ...request, cursor: cursor === undefined ? undefined : `${cursor >> 1n}` });
  const entries = page.entries.filter(({ name }) => !policies.isShared(name));
  const next = page.cursor === undefined ? sharedCursor(counters.count) : `${BigInt(page.cursor) << 1n}`;
  return { entries, cursor: next };
}

/** Backwards: see `SharedCounters`. */
function pageOfShared(counters: SharedCounters, { match, count }: ScanRequest, from: number): ScanPage {
  const glob = match === undefined || match === '*' ? undefined : new Glob(match);
  const entries: ScanEntry[] = [];
  let at = Math.min(from, counters.count) - 1;
  for (let looked = 0; at >= 0 && looked < count; looked++, at--) {
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
