/**
 * Reads the body of a batch into a chunk's columns: a JSON array of entries, an object `{"atomic", "updates"}`, or
 * NDJSON, one entry a line. Text that is no JSON refuses the whole body before anything changed. What is wrong
 * with one entry is that entry's own outcome, unless the batch is all or nothing.
 *
 * Nearly all batches have only entries of `{"name", "by"}` with small numbers: those go from the bytes straight into
 * the columns (`plain-batch.ts`). Of the others, such entries go there from the parsed object, and all the rest is
 * checked against the schema.
 */
import { type Chunk, type CommandOptions, Op } from '../../counter/chunk.ts';
import { CountingError, type ErrorCode } from '../../counter/errors.ts';
import { highLane, writeInt64 } from '../../counter/int64.ts';
import { BATCH_ENTRIES_MAX, NAME_BYTES_MAX } from '../../counter/limits.ts';
import { amountOf, boundsOf } from './additions.ts';
import { entryKey } from './idempotency.ts';
import { countOf } from './integers.ts';
import { parseJson, parseJsonLines } from './json.ts';
import { readPlainBatch } from './plain-batch.ts';
import { BatchEntry, BatchUpdates } from './schemas.ts';
import { compileCheck } from './validation.ts';

/** The body of a batch. */
export interface BatchBody {
  /** How many entries it has. */
  readonly count: number;
  /** What is still to be read into the chunk; undefined: everything is there already. */
  readonly entries: readonly unknown[] | undefined;
  /** What the body itself says; undefined when it says nothing. */
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
/** The end of the year 9999. */
const UNIX_SECONDS_MAX = 253_402_300_799n;
const LINES_TYPE = /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\b/i;
/** A first line that is an object, and more behind it. */
const FIRST_LINE = /^\s*\{[^\n]*\}[ \t\r]*\n/;
const checkEntry = compileCheck(BatchEntry, 'body');
const checkUpdates = compileCheck(BatchUpdates, 'body');
const encoder = new TextEncoder();

/**
 * Reads a body; when it is a plain one, its entries are in the empty chunk afterwards.
 * @throws CountingError invalid_body, body_too_large
 */
export function readBatch(bytes: Buffer, contentType: string | undefined, chunk: Chunk): BatchBody {
  const areLines = contentType !== undefined && LINES_TYPE.test(contentType);
  if (!readPlainBatch(bytes, areLines, chunk)) return parseBatch(bytes, areLines);
  return { count: chunk.count, entries: undefined, atomic: undefined, bytes: 0 };
}

/** Reads any body. @throws CountingError invalid_body, body_too_large */
export function parseBatch(bytes: Buffer, areLines: boolean): BatchBody {
  const body = areLines ? lines(bytes) : anyShape(bytes);
  if (body.count > BATCH_ENTRIES_MAX) {
    const code = body.atomic === true ? 'atomic_too_large' : 'body_too_large';
    throw new CountingError(code, `a batch takes up to ${BATCH_ENTRIES_MAX} entries, not ${body.count}`);
  }
  return body;
}

function bodyOf(entries: readonly unknown[], bytes: Buffer, atomic?: boolean): BatchBody {
  return { count: entries.length, entries, atomic, bytes: bytes.length };
}

function lines(bytes: Buffer): BatchBody {
  return bodyOf(parseJsonLines(bytes), bytes);
}

function anyShape(bytes: Buffer): BatchBody {
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (error) {
    // Several lines, each an object of its own, are no JSON as a whole.
    if (FIRST_LINE.test(bytes.toString('latin1'))) return lines(bytes);
    throw error;
  }
  if (Array.isArray(value)) return bodyOf(value, bytes);
  if (typeof value !== 'object' || value === null) {
    throw new CountingError('invalid_body', 'a batch is a JSON array, an object with "updates", or NDJSON');
  }
  if (!('updates' in value)) return bodyOf([value], bytes);
  const { updates, ...rest } = value as { updates: unknown };
  // The entries have checks of their own.
  const error = checkUpdates({ ...rest, updates: Array.isArray(updates) ? [] : updates });
  if (error !== undefined) throw error;
  return bodyOf(updates as unknown[], bytes, (rest as { atomic?: boolean }).atomic);
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
   * Appends all entries, up to the first refused one when the batch is `atomic`.
   * @returns the refused ones by their position; those that are not there are in the chunk, in their order.
   */
  read(entries: readonly unknown[], atomic: boolean): Map<number, EntryRefusal> {
    const refusals = new Map<number, EntryRefusal>();
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (this.#readPlain(entry)) continue;
      try {
        this.#readAny(entry);
      } catch (error) {
        if (!(error instanceof CountingError)) throw error;
        refusals.set(i, { name: nameOf(entry), code: error.code, detail: error.message });
        if (atomic) break;
      }
    }
    return refusals;
  }

  /** Takes an entry that has only a name and perhaps a small amount; false: not such a one, nothing was done. */
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

  /** @throws CountingError what is wrong with it */
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

  /** Appends an add. @returns its position, or -1 for a name that can be none. */
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

/** @throws CountingError invalid_number for milliseconds, and for what is before 1970 or after 9999. */
function checkTime(unixSeconds: bigint): void {
  if (unixSeconds >= 0n && unixSeconds <= UNIX_SECONDS_MAX) return;
  throw new CountingError('invalid_number', `at: Unix seconds from 0 to ${UNIX_SECONDS_MAX}, not milliseconds`);
}

/** What an entry asks for, in one form whatever way it was written. */
function asked(name: string, amount: bigint, bounds: CommandOptions | undefined): string {
  const { floor, ceiling, saturate = false, deadline, deadlineOnlyIf } = bounds ?? {};
  const ms = deadline?.kind === 'in' ? deadline.ms : undefined;
  const said = [name, `${amount}`, floor?.toString(), ceiling?.toString(), saturate, ms];
  // Records of earlier versions have no more than that.
  return JSON.stringify(deadlineOnlyIf === undefined ? said : [...said, deadlineOnlyIf]);
}

function nameOf(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { name } = entry as { name?: unknown };
  return typeof name === 'string' && name.length <= NAME_BYTES_MAX ? name : undefined;
}
