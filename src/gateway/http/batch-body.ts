/**
 * Reads the body of a batch into a chunk's columns: a JSON array of entries, an object `{"atomic", "updates"}`, or
 * NDJSON, one entry a line. Invalid JSON refuses the whole body before anything changes. An invalid entry gets its own
 * error, unless the batch is all or nothing.
 *
 * Nearly all batches have only entries of `{"name", "by"}` with small numbers: those go from the bytes straight into
 * the columns (`plain-batch.ts`). Of the others, such entries go there from the parsed object, and all the rest is
 * checked against the schema.
 */
import { type Chunk, type CommandOptions, Op } from '../../counter/chunk.ts';
import { CountingError, type ErrorCode } from '../../counter/errors.ts';
import { highLane, writeInt64 } from '../../counter/int64.ts';
import { BATCH_ENTRIES_MAX, NAME_BYTES_MAX } from '../../counter/limits.ts';
import { parseBatchBody } from './batch-parser.ts';
import { entryKey } from './idempotency.ts';
import { amountOf, boundsOf } from './increment-fields.ts';
import { countOf } from './integers.ts';
import { readPlainBatch } from './plain-batch.ts';
import { BatchEntry, BatchUpdates } from './schemas.ts';
import type { Work } from './turns.ts';
import { compileCheck } from './validation.ts';

/** The body of a batch. */
export interface BatchBody {
  /** How many entries it has. */
  readonly count: number;
  /** Entries still to be read into the chunk; undefined: all are there. */
  readonly entries: readonly unknown[] | undefined;
  /** As stated in the body; undefined if not stated. */
  readonly atomic: boolean | undefined;
  /** An upper bound of what all names take. */
  readonly bytes: number;
}

/** An entry that never reaches the service. */
export interface EntryRefusal {
  readonly name: string | undefined;
  readonly code: ErrorCode;
  readonly detail: string;
}

/** A UTF-16 unit takes up to 3 bytes of UTF-8. */
export const ENTRY_NAME_BYTES_MAX = 3 * NAME_BYTES_MAX;
/** Reading a body of this size takes as long as a turn may. */
const LARGE_BYTES = 256 * 1024;
/** Entries read per step, and the cost of a refusal in entries. */
const STEP_WORK = 256;
const REFUSAL_WORK = 32;
/** The end of the year 9999. */
const UNIX_SECONDS_MAX = 253_402_300_799n;
const LINES_TYPE = /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\b/i;
const checkEntry = compileCheck(BatchEntry, 'body');
const checkUpdates = compileCheck(BatchUpdates, 'body');
const encoder = new TextEncoder();

/** Whether a body is NDJSON by its type. */
export function areLinesOf(contentType: string | undefined): boolean {
  return contentType !== undefined && LINES_TYPE.test(contentType);
}

/**
 * Reads a body in steps; the entries of a plain body are in the empty chunk afterwards.
 * @throws CountingError invalid_body, body_too_large, atomic_too_large
 */
export function* readBatch(bytes: Buffer, areLines: boolean, chunk: Chunk): Work<BatchBody> {
  const isPlain = readPlainBatch(bytes, areLines, chunk);
  if (bytes.length > LARGE_BYTES) yield;
  if (!isPlain) return yield* parseBatch(bytes, areLines);
  return { count: chunk.count, entries: undefined, atomic: undefined, bytes: 0 };
}

/** Reads any body, in steps. @throws CountingError invalid_body, body_too_large, atomic_too_large */
export function* parseBatch(bytes: Buffer, areLines: boolean): Work<BatchBody> {
  const { entries, count, around } = yield* parseBatchBody(bytes, areLines);
  // The entries have checks of their own.
  const error = around === undefined ? undefined : checkUpdates(around);
  if (error !== undefined) throw error;
  const { atomic } = (around ?? {}) as { atomic?: boolean };
  if (count > BATCH_ENTRIES_MAX) {
    const code = atomic === true ? 'atomic_too_large' : 'body_too_large';
    throw new CountingError(code, `a batch takes up to ${BATCH_ENTRIES_MAX} entries, not ${count}`);
  }
  return { count, entries, atomic, bytes: bytes.length };
}

/** Fills chunks from batches. */
export class BatchReader {
  readonly #chunk: Chunk;
  readonly #names: Uint8Array;
  #namesUsed = 0;

  /** @param names takes all names of the batch. */
  constructor(chunk: Chunk, names: Uint8Array) {
    this.#chunk = chunk;
    this.#names = names;
    chunk.names = names;
  }

  /**
   * Appends all entries in steps; if the batch is `atomic`, up to the first refused one.
   * @returns the refused entries by position; the others are in the chunk, in order.
   */
  *read(entries: readonly unknown[], atomic: boolean): Work<Map<number, EntryRefusal>> {
    const refusals = new Map<number, EntryRefusal>();
    let work = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (work > STEP_WORK) {
        work = 0;
        yield;
      }
      work++;
      if (this.#readPlain(entry)) continue;
      try {
        this.#readAny(entry);
      } catch (error) {
        if (!(error instanceof CountingError)) throw error;
        work += REFUSAL_WORK;
        refusals.set(i, { name: nameOf(entry), code: error.code, detail: error.message });
        if (atomic) break;
      }
    }
    return refusals;
  }

  /** Appends an entry with only a name and perhaps a small amount; false: another kind of entry, nothing was done. */
  #readPlain(entry: unknown): boolean {
    if (typeof entry !== 'object' || entry === null) return false;
    const { name, by } = entry as { name?: unknown; by?: unknown };
    if (typeof name !== 'string' || !(by === undefined || Number.isSafeInteger(by))) return false;
    let fields = 0;
    for (const _ in entry) fields++;
    if (fields !== (by === undefined ? 1 : 2)) return false;
    const amount = (by ?? 1) as number;
    return this.#push(name, amount | 0, highLane(amount)) >= 0;
  }

  /** @throws CountingError if the entry is invalid */
  #readAny(entry: unknown): void {
    const error = checkEntry(entry);
    if (error !== undefined) throw error;
    const checked = entry as BatchEntry;
    const amount = amountOf(checked.by, 'by', false);
    const bounds = boundsOf(checked);
    if (checked.at !== undefined) checkTime(countOf(checked.at, 'at'));
    const options =
      checked.id === undefined ? bounds : { ...bounds, id: entryKey(checked.id, asked(checked.name, amount, bounds)) };
    const position = this.#push(checked.name, 0, 0);
    if (position < 0) throw new CountingError('invalid_name');
    writeInt64(this.#chunk.amount, 2 * position, amount);
    if (options !== undefined) this.#chunk.options[position] = options;
  }

  /** Appends an add. @returns its position, or -1 for an invalid name. */
  #push(name: string, low: number, high: number): number {
    const start = this.#namesUsed;
    const names = this.#names;
    let at = start;
    if (name.length > NAME_BYTES_MAX) return -1;
    for (let i = 0; i < name.length; i++) {
      const unit = name.charCodeAt(i);
      if (unit > 127) {
        if (!name.isWellFormed()) return -1;
        at = start + encoder.encodeInto(name, names.subarray(start)).written;
        break;
      }
      names[at++] = unit;
    }
    this.#namesUsed = at;
    return this.#chunk.push(Op.add, start, at - start, low, high);
  }
}

/** @throws CountingError invalid_number for milliseconds, and for times before 1970 or after 9999. */
function checkTime(unixSeconds: bigint): void {
  if (unixSeconds >= 0n && unixSeconds <= UNIX_SECONDS_MAX) return;
  throw new CountingError('invalid_number', `at: Unix seconds from 0 to ${UNIX_SECONDS_MAX}, not milliseconds`);
}

/** An entry's update in a canonical form, regardless of its notation. */
function asked(name: string, amount: bigint, bounds: CommandOptions | undefined): string {
  const { floor, ceiling, saturate = false, deadline, deadlineOnlyIf } = bounds ?? {};
  const ms = deadline?.kind === 'in' ? deadline.ms : undefined;
  const said = [name, `${amount}`, floor?.toString(), ceiling?.toString(), saturate, ms];
  // Records of earlier versions contain only this.
  return JSON.stringify(deadlineOnlyIf === undefined ? said : [...said, deadlineOnlyIf]);
}

function nameOf(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { name } = entry as { name?: unknown };
  return typeof name === 'string' && name.length <= NAME_BYTES_MAX ? name : undefined;
}
