/**
 * Applies a chunk when its turn comes: keys first, then its commands in order, all into one group.
 *
 * A chunk at a time, not a command at a time: with a million random names nearly all time is spent waiting for memory.
 * So the names of a strip of commands are looked up together, step by step (`Commands.findMany`, `Table.candidates`):
 * hash all names, touch all index lines, look into them, touch all records, then compare keys. Each step does so little
 * between two memory accesses that the processor has many of them in flight at once. Then the strip's commands are
 * applied one by one, to records that are in the cache.
 */
import { type Chunk, Flag, type IdempotencyKey, type Op } from '../counter/chunk.ts';
import { BOUND_REFUSALS, DONE, ERRORS, KEY_TIME_REFUSALS } from '../counter/errors.ts';
import { CHUNK_COMMANDS_MAX } from '../counter/limits.ts';
import { isRead } from '../counter/route.ts';
import type { Commands } from './commands.ts';
import type { Committer } from './committer.ts';
import { type IdempotencyStore, recordBytes, type StoredRecord } from './idempotency.ts';
import { packOutcomes, unpackOutcomes } from './outcomes.ts';
import type { Records } from './records.ts';
import { Undo } from './undo.ts';

/** Answers that a retry gets again: those decided by the counter's state, not the server's. */
const REPEATED: ReadonlySet<number> = new Set([DONE, ...BOUND_REFUSALS, ERRORS.atomic_refused.id]);

/** Refusals that do not depend on the update: it may be accepted a moment later, or without its id. */
const PASSING: ReadonlySet<number> = new Set([
  ERRORS.unavailable.id,
  ERRORS.idempotency_full.id,
  ...KEY_TIME_REFUSALS,
  ERRORS.too_many_counters.id,
]);

/**
 * Records are found for this many commands at a time: their data is still in the first-level cache when they are
 * applied.
 */
const STRIP_COMMANDS = 128;
const NO_OUTCOMES = new Uint8Array(0);

export class Submission {
  readonly #records: Records;
  readonly #commands: Commands;
  readonly #committer: Committer;
  readonly #keys: IdempotencyStore;
  readonly #refs = new Int32Array(CHUNK_COMMANDS_MAX);
  readonly #hashes = new Int32Array(CHUNK_COMMANDS_MAX);
  #dependsOnNewest = false;
  /** Idempotency keys that the last commands are remembered by. */
  keys = 0;

  constructor(records: Records, commands: Commands, committer: Committer, keys: IdempotencyStore) {
    this.#records = records;
    this.#commands = commands;
    this.#committer = committer;
    this.#keys = keys;
  }

  /**
   * Applies the commands `[from, to)` of the chunk and fills their outcomes; all of them, if it is all or nothing or
   * has a key.
   * @returns the order of the group that the outcomes depend on, or `NO_GROUP`.
   */
  execute(chunk: Chunk, from: number, to: number, nowMs: number): number {
    this.#dependsOnNewest = false;
    this.keys = 0;
    this.#commands.begin(nowMs, this.#committer.gathering.order);
    if (from === 0) {
      chunk.refusal = DONE;
      chunk.replayed = false;
      chunk.appliedAtMs = nowMs;
    }
    const { key } = chunk;
    if (key === undefined || !this.#answerFromRecord(chunk, key)) this.#executeCommands(chunk, from, to, nowMs);
    return this.#dependsOnNewest ? this.#committer.newestTouched : this.#commands.dependency;
  }

  #executeCommands(chunk: Chunk, from: number, to: number, nowMs: number): void {
    const refs = this.#refs;
    const hashes = this.#hashes;
    const isImport = chunk.key?.scope === 'import';
    const undo = chunk.atomic || isImport ? new Undo(this.#records) : undefined;
    const isFailing = this.#committer.isFailing;
    const added: StoredRecord[] = [];
    for (let i = from; i < to; i++) {
      if ((i - from) % STRIP_COMMANDS === 0) {
        this.#commands.findMany(chunk, i, Math.min(i + STRIP_COMMANDS, to), refs, hashes);
      }
      if (isFailing && !this.#mayApplyWhileFailing(chunk, i, refs[i])) continue;
      const id = chunk.options.length === 0 ? undefined : chunk.options[i]?.id;
      if (id !== undefined && this.#answerCommandFromRecord(chunk, i, id)) continue;
      undo?.remember(refs[i] === 0 ? this.#commands.find(chunk, i, hashes) : refs[i]);
      this.#commands.execute(chunk, i, refs[i], hashes);
      if (undo !== undefined && refs[i] === 0) undo.created(this.#commands.find(chunk, i, hashes));
      if (id !== undefined) this.#keep(id, chunk, i, i + 1, nowMs, added);
    }
    // An import's chunk is remembered for good, so an entry that could be applied later must not be left out now.
    if (isImport) chunk.refusal = findCode(chunk, (code) => PASSING.has(code));
    const isRefused = chunk.refusal !== DONE || (chunk.atomic && findCode(chunk, (code) => code !== DONE) !== DONE);
    if (undo !== undefined && isRefused) {
      undo.restore();
      this.#forget(added);
      for (let i = 0; i < chunk.count; i++) {
        if (chunk.code[i] === DONE) chunk.code[i] = ERRORS.atomic_refused.id;
        else if (BOUND_REFUSALS.has(chunk.code[i]) && !chunk.hasFlag(i, Flag.replayed))
          this.#commands.refuseAgain(chunk, i, hashes);
      }
    }
    if (chunk.key !== undefined) this.#keep(chunk.key, chunk, 0, chunk.count, nowMs, added);
  }

  /** While the journal is being replaced, only reads of durable records are allowed. Fills the outcome otherwise. */
  #mayApplyWhileFailing(chunk: Chunk, i: number, ref: number): boolean {
    if (isRead(chunk.op[i] as Op) && !this.#committer.isUntold(ref)) return true;
    chunk.code[i] = ERRORS.unavailable.id;
    chunk.flags[i] = 0;
    return false;
  }

  /** Whether the chunk's key settles the answer: a replay, or a refusal. */
  #answerFromRecord(chunk: Chunk, key: IdempotencyKey): boolean {
    const record = this.#keys.find(key);
    if (record !== undefined) this.#dependsOnNewest = true;
    chunk.refusal = this.#judge(record, key, chunk.appliedAtMs);
    const isOther = record === undefined || chunk.refusal === ERRORS.idempotency_mismatch.id;
    if (isOther && this.#overlaps(chunk, key)) return true;
    if (chunk.refusal !== DONE) {
      if (chunk.refusal === ERRORS.idempotency_full.id) chunk.retryAfterMs = this.#keys.retryAfterMs();
      return true;
    }
    if (record === undefined) return false;
    chunk.replayed = true;
    chunk.appliedAtMs = record.appliedAtMs;
    if (key.scope === 'request') unpackOutcomes(record.outcomes, chunk, 0, chunk.count, Flag.replayed);
    return true;
  }

  /** Whether content of an import's chunk, or other content after the same beginning, was accepted before. */
  #overlaps(chunk: Chunk, { after, places }: IdempotencyKey): boolean {
    if (places === undefined) return false;
    const place = places.findLast((id) => this.#importedThrough(id) !== undefined);
    const other = place === undefined && after !== undefined ? this.#findImport(inside(after)) : undefined;
    const record = place === undefined ? other : this.#importedThrough(place);
    if (record === undefined) return false;
    this.#dependsOnNewest = true;
    chunk.refusal = record.unsettled ? ERRORS.idempotency_unsettled.id : ERRORS.import_overlaps.id;
    if (place !== undefined) chunk.overlap = this.#findImport(inside(place)) === undefined ? place : inside(place);
    return true;
  }

  /** The record that states that the content through this id was accepted: as a chunk's end, or inside of one. */
  #importedThrough(id: string): StoredRecord | undefined {
    return this.#findImport(id) ?? this.#findImport(inside(id));
  }

  #findImport(key: string): StoredRecord | undefined {
    return this.#keys.find({ scope: 'import', key, fingerprint: '' });
  }

  /** The same for the `id` of one command. */
  #answerCommandFromRecord(chunk: Chunk, i: number, id: IdempotencyKey): boolean {
    const record = this.#keys.find(id);
    if (record !== undefined) this.#dependsOnNewest = true;
    const code = this.#judge(record, id, chunk.appliedAtMs);
    if (code === DONE && record === undefined) return false;
    chunk.code[i] = code;
    chunk.flags[i] = 0;
    if (code === ERRORS.idempotency_full.id) chunk.retryAfterMs = this.#keys.retryAfterMs();
    if (code === DONE && record !== undefined) unpackOutcomes(record.outcomes, chunk, i, i + 1, Flag.replayed);
    return true;
  }

  #judge(record: StoredRecord | undefined, key: IdempotencyKey, nowMs: number): number {
    if (record === undefined) {
      if (this.#committer.isFailing) return DONE;
      return this.#keys.admit(key, nowMs, this.#committer.gathering.forgotten);
    }
    const isSame = record.scope === 'import' ? record.isOf(key.fingerprint) : record.fingerprint === key.fingerprint;
    if (!isSame) return ERRORS.idempotency_mismatch.id;
    return record.unsettled ? ERRORS.idempotency_unsettled.id : DONE;
  }

  /** Creates the record of a key, to commit with the gathering group, if the outcome must be repeated to retries. */
  #keep(key: IdempotencyKey, chunk: Chunk, from: number, to: number, nowMs: number, added: StoredRecord[]): void {
    // While the journal is being replaced, nothing is applied and nothing may be gathered.
    if (this.#committer.isFailing) return;
    let changed = false;
    // If one outcome depends on a counter's state, all are kept: a retry must not meet another state.
    let repeated = from === to;
    for (let i = from; i < to; i++) {
      changed ||= chunk.code[i] === DONE && (chunk.flags[i] & (Flag.changed | Flag.replayed)) === Flag.changed;
      repeated ||= REPEATED.has(chunk.code[i]);
    }
    if (!changed && (!repeated || key.scope === 'import')) return;
    const outcomes = key.scope === 'import' ? NO_OUTCOMES : packOutcomes(chunk, from, to);
    this.#record(key, nowMs, outcomes, added);
    // More content follows these places: this reveals later content that ends there or continues differently.
    const { after, places = [] } = key;
    const inner = places.slice(0, Math.max(0, places.indexOf(key.key)));
    for (const place of after === undefined ? inner : [after, ...inner]) {
      this.#record({ ...key, key: inside(place) }, nowMs, outcomes, added);
    }
  }

  #record(key: IdempotencyKey, nowMs: number, outcomes: Uint8Array, added: StoredRecord[]): void {
    const record = this.#keys.add(key, nowMs, outcomes);
    added.push(record);
    this.keys++;
    const group = this.#committer.gathering;
    group.records.push(record);
    group.recordBytes += recordBytes(record);
    this.#dependsOnNewest = true;
  }

  /** Removes the records that this turn has added. */
  #forget(added: StoredRecord[]): void {
    const group = this.#committer.gathering;
    group.records.length -= added.length;
    for (const record of added.splice(0)) {
      this.#keys.remove(record);
      group.recordBytes -= recordBytes(record);
    }
  }
}

/** The import id that states that the content through `id` was accepted, and more after it. */
function inside(id: string): string {
  return `>${id}`;
}

/** The first matching code of the chunk, or `DONE`. */
function findCode(chunk: Chunk, isWanted: (code: number) => boolean): number {
  for (let i = 0; i < chunk.count; i++) if (isWanted(chunk.code[i])) return chunk.code[i];
  return DONE;
}
