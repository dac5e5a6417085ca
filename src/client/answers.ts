/** The results of calls, and how they are read from an answer's JSON. Each reader throws if the shape differs. */
import { type Answer, isPassing, PassingRefusal } from './call.ts';
import { countOf, numberOf, standingOf } from './count.ts';

/** What an increment or decrement did. */
export interface Adjustment {
  /**
   * The count afterwards. Undefined: the update counts, but the count is unknown while the shared store is unreachable.
   */
  readonly value: bigint | undefined;
  /** Then: what the answering node has counted on it. */
  readonly own?: bigint;
  /** The change of the count; less than requested only with `saturate`. */
  readonly applied: bigint;
  /** An earlier attempt with the same idempotency key had been applied, and this is its answer. */
  readonly replayed: boolean;
}

export interface Reading {
  readonly name: string;
  /** 0n when absent. */
  readonly value: bigint;
  readonly exists: boolean;
}

export interface TimeToLive {
  readonly exists: boolean;
  /** Seconds until the counter expires, rounded up; undefined if it does not. */
  readonly ttlSeconds: number | undefined;
}

/** A counter in a listing. */
export interface Entry {
  readonly name: string;
  readonly value: bigint;
}

/** One page of a listing, and the cursor of the next one; undefined at the end. */
export interface Page {
  readonly entries: readonly Entry[];
  readonly cursor: string | undefined;
  /** The server shares its counters with others, and lists only those that it holds. */
  readonly onlyHeld: boolean;
}

/** The outcome of one update of a batch. */
export type Outcome =
  | {
      readonly outcome: 'done';
      readonly name: string;
      /** As in `Adjustment`. */
      readonly value: bigint | undefined;
      readonly own?: bigint;
      readonly applied: bigint;
      readonly replayed: boolean;
    }
  | {
      readonly outcome: 'refused' | 'unknown';
      readonly name: string;
      readonly code: string;
      readonly detail: string;
      /** Refused by a bound or for overflow: the count as it stays. */
      readonly value?: bigint;
      /** Refused by a bound: seconds until the counter expires, rounded up; undefined when it does not. */
      readonly ttlSeconds?: number;
    };

export interface BatchResult {
  /** In the order of the updates. */
  readonly outcomes: readonly Outcome[];
  /** The whole batch had been applied by an earlier attempt, and these are its outcomes. */
  readonly replayed: boolean;
}

export interface SnapshotSummary {
  readonly file: string;
  readonly counters: number;
  readonly bytes: number;
}

/** State and size of a server; `fields` has everything it reports, counts as decimal strings. */
export interface ServerInfo {
  readonly state: string;
  readonly durability: string;
  readonly version: string;
  readonly counters: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Codes of an entry's error that leave open whether an earlier update with this `id` counts. */
const UNKNOWN_ENTRY = new Set([
  'idempotency_expired',
  'idempotency_unsettled',
  'outcome_unknown',
  'internal',
  'timeout',
]);

export function adjustmentOf({ body, replayed }: Answer): Adjustment {
  return { ...countedOf(body), applied: countOf(body['applied'], 'applied'), replayed };
}

export function previousOf({ body }: Answer): bigint {
  return countOf(body['previous'], 'previous');
}

export function deletedOf({ body }: Answer): boolean {
  return flagOf(body['deleted'], 'deleted');
}

/** @throws PassingRefusal while only a part of the count is known. */
export function readingOf(body: Record<string, unknown>): Reading {
  if (body.value === null) throw new PassingRefusal('store_away', 'the store that the nodes share does not answer');
  return {
    name: textOf(body.name, 'name'),
    value: countOf(body.value, 'value'),
    exists: flagOf(body.exists, 'exists'),
  };
}

export function readingsOf({ body }: Answer): Reading[] {
  return listOf(body.counters, 'counters').map(readingOf);
}

export function timeToLiveOf({ body }: Answer): TimeToLive {
  const ttlSeconds = body.ttl === null || body.ttl === undefined ? undefined : numberOf(body.ttl, 'ttl');
  return { exists: flagOf(body.exists, 'exists'), ttlSeconds };
}

export function pageOf({ body }: Answer): Page {
  const entries = listOf(body.counters, 'counters').map((entry) => ({
    name: textOf(entry.name, 'name'),
    value: countOf(entry.value, 'value'),
  }));
  const cursor = body.cursor === null ? undefined : textOf(body.cursor, 'cursor');
  return { entries, cursor, onlyHeld: body.onlyHeld === true };
}

/**
 * @param updates how many outcomes there must be.
 * @throws PassingRefusal if nothing was applied, for a temporary reason.
 */
export function batchOf({ body, replayed }: Answer, updates: number): BatchResult {
  const outcomes = listOf(body['results'], 'results').map(outcomeOf);
  if (outcomes.length !== updates) throw new SyntaxError(`${outcomes.length} results for ${updates} updates`);
  const [first] = outcomes;
  if (first !== undefined && first.outcome === 'refused' && isPassing(first.code)) {
    // A server that cannot write its journal refuses every entry in the same way, and remembers no key.
    const isAlike = outcomes.every((outcome) => outcome.outcome === 'refused' && outcome.code === first.code);
    if (isAlike) throw new PassingRefusal(first.code, first.detail);
  }
  return { outcomes, replayed: replayed || body['replayed'] === true };
}

/** A chunk of an import: whether it was imported before is kept for good, what its outcomes were is not. */
export function chunkOf(answer: Answer, updates: number): BatchResult {
  return answer.body['replayed'] === true ? { outcomes: [], replayed: true } : batchOf(answer, updates);
}

function outcomeOf(entry: Record<string, unknown>): Outcome {
  const name = typeof entry.name === 'string' ? entry.name : '';
  if (entry.error !== undefined) {
    const error = objectOf(entry.error, 'error');
    const code = textOf(error.code, 'error.code');
    const detail = typeof error.detail === 'string' ? error.detail : code;
    return { outcome: UNKNOWN_ENTRY.has(code) ? 'unknown' : 'refused', name, code, detail, ...standingOf(error) };
  }
  return {
    outcome: 'done',
    name,
    ...countedOf(entry),
    applied: countOf(entry.applied, 'applied'),
    replayed: entry.replayed === true,
  };
}

/** The count after an update, or what is known of it. */
function countedOf(body: Record<string, unknown>): { value: bigint | undefined; own?: bigint } {
  if (body['value'] === null) return { value: undefined, own: countOf(body['own'], 'own') };
  return { value: countOf(body['value'], 'value') };
}

export function snapshotOf({ body }: Answer): SnapshotSummary {
  return {
    file: textOf(body.file, 'file'),
    counters: numberOf(body.counters, 'counters'),
    bytes: numberOf(body.bytes, 'bytes'),
  };
}

export function infoOf({ body }: Answer): ServerInfo {
  return {
    state: textOf(body.state, 'state'),
    durability: textOf(body.durability, 'durability'),
    version: textOf(body.version, 'version'),
    counters: numberOf(body.counters, 'counters'),
    fields: body,
  };
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new SyntaxError(`the answer's ${what} is no text`);
  return value;
}

function flagOf(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw new SyntaxError(`the answer's ${what} is neither true nor false`);
  return value;
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new SyntaxError(`the answer's ${what} is no object`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, what: string): Record<string, unknown>[] {
  if (!Array.isArray(value)) throw new SyntaxError(`the answer's ${what} is no list`);
  return value.map((entry) => objectOf(entry, what));
}
