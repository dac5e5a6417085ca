/** Updates as a program asks for them: checked, and as the engine takes them. */
import { createHash } from 'node:crypto';
import { type Chunk, type CommandOptions, type DeadlineChange, type IdempotencyKey, Op } from '../counter/chunk.ts';
import { CountingError } from '../counter/errors.ts';
import { IDEMPOTENCY_KEY_BYTES_MAX } from '../counter/limits.ts';
import { type Count, checkedCount, checkedName, checkKnown } from './arguments.ts';

export interface Bounds {
  /** Refuse when the result would be below. */
  readonly floor?: Count;
  /** Refuse when the result would be above. */
  readonly ceiling?: Count;
  /** At a bound apply what fits instead of refusing. */
  readonly saturate?: boolean;
  /** The counter is deleted after this time; a fraction counts to the millisecond. */
  readonly ttlSeconds?: number;
  /** `ttlSeconds` counts only when the counter has no deadline yet: a window that does not move. */
  readonly ttlIfNone?: boolean;
}

export interface UpdateOptions extends Bounds {
  /** The same key again counts nothing and answers the same; with another update it is refused. */
  readonly idempotencyKey?: string;
}

export interface SetOptions {
  /** The counter is deleted after this time; without it a set removes the deadline. */
  readonly ttlSeconds?: number;
}

export interface BatchUpdate extends Bounds {
  readonly name: string;
  readonly by?: Count;
  /** An idempotency key of this update alone. */
  readonly id?: string;
}

export interface BatchOptions {
  /** All or nothing: when one update is refused, none is applied. */
  readonly atomic?: boolean;
  /** Covers the whole batch. */
  readonly idempotencyKey?: string;
}

export interface ListOptions {
  /** Redis-style pattern over names: `*`, `?`, `[a-z]`, `[^x]`, backslash. */
  readonly match?: string;
}

const SET = ['ttlSeconds'];
const BOUNDS = ['floor', 'ceiling', 'saturate', 'ttlSeconds', 'ttlIfNone'];
const UPDATE = [...BOUNDS, 'idempotencyKey'];
const ENTRY = ['name', 'by', ...BOUNDS, 'id'];
const BATCH = ['atomic', 'idempotencyKey'];
const LIST = ['match'];

/** Appends an increment. @throws TypeError, CountingError */
export function pushIncrement(chunk: Chunk, name: string, by: Count, options: UpdateOptions): void {
  checkKnown(options, UPDATE);
  pushAdd(chunk, name, by, options, options.idempotencyKey);
}

/** Appends an update of a batch. @throws TypeError, CountingError */
export function pushUpdate(chunk: Chunk, update: BatchUpdate): void {
  checkKnown(update, ENTRY);
  const { name, by = 1, id } = update;
  pushAdd(chunk, name, by, update, id);
}

/** @throws TypeError */
export function listOptions(options: ListOptions): ListOptions {
  checkKnown(options, LIST);
  return options;
}

/** @throws TypeError, CountingError invalid_deadline */
export function setOptions(options: SetOptions): CommandOptions | undefined {
  checkKnown(options, SET);
  return options.ttlSeconds === undefined ? undefined : { deadline: deadlineIn(options.ttlSeconds) };
}

/** The key of a whole batch. @throws TypeError, CountingError invalid_idempotency_key */
export function batchKey(updates: readonly BatchUpdate[], options: BatchOptions): IdempotencyKey | undefined {
  checkKnown(options, BATCH);
  return idempotencyKey(options.idempotencyKey, [updates, options.atomic ?? false]);
}

/**
 * Stricter than the engine, which deletes a counter whose time is over already, as Redis does. @throws CountingError
 */
export function deadlineIn(ttlSeconds: number): DeadlineChange {
  const ms = typeof ttlSeconds === 'number' ? Math.round(ttlSeconds * 1000) : 0;
  if (!Number.isSafeInteger(ms) || ms < 1) throw new CountingError('invalid_deadline');
  return { kind: 'in', ms };
}

/** @throws CountingError invalid_number, also for the least integer, whose negative does not exist */
export function negated(by: Count): bigint {
  return checkedCount(-checkedCount(by));
}

function pushAdd(chunk: Chunk, name: string, by: Count, bounds: Bounds, key: string | undefined): void {
  chunk.pushName(Op.add, checkedName(name), checkedCount(by), commandOptions(bounds, key, [name, by]));
}

/** @param request what an idempotency key stands for besides the bounds */
function commandOptions(
  bounds: Bounds,
  key: string | undefined,
  request: readonly unknown[],
): CommandOptions | undefined {
  const { floor, ceiling, saturate, ttlSeconds, ttlIfNone = false } = bounds;
  if (ttlIfNone && ttlSeconds === undefined) {
    throw new CountingError('invalid_deadline', 'ttlIfNone needs a ttlSeconds');
  }
  const deadline = ttlSeconds === undefined ? undefined : deadlineIn(ttlSeconds);
  if (floor === undefined && ceiling === undefined && !saturate && deadline === undefined && key === undefined) {
    return undefined;
  }
  // Records of earlier versions have no more than the first five, and milliseconds.
  const ttlMs = deadline?.kind === 'in' ? deadline.ms : undefined;
  return {
    floor: floor === undefined ? undefined : checkedCount(floor),
    ceiling: ceiling === undefined ? undefined : checkedCount(ceiling),
    saturate,
    deadline,
    deadlineOnlyIf: ttlIfNone ? 'none' : undefined,
    id: idempotencyKey(key, [request, floor, ceiling, saturate, ttlMs, ...(ttlIfNone ? ['none'] : [])]),
  };
}

/** @param request all that makes it the same request again */
function idempotencyKey(key: string | undefined, request: readonly unknown[]): IdempotencyKey | undefined {
  if (key === undefined) return undefined;
  if (!/^[\x20-\x7e]+$/.test(key) || key.length > IDEMPOTENCY_KEY_BYTES_MAX) {
    throw new CountingError('invalid_idempotency_key');
  }
  // 1 and 1n are the same count.
  const text = JSON.stringify(request, (_field, value: unknown) =>
    typeof value === 'bigint' || typeof value === 'number' ? `${value}` : value,
  );
  return { scope: 'request', key, fingerprint: createHash('sha256').update(text).digest('hex').slice(0, 32) };
}
