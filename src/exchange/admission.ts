/** Finds the counters of a chunk's commands, and refuses commands before anything is executed. */
import { type Chunk, type CommandOptions, Op } from '../counter/chunk.ts';
import { DONE, ERRORS } from '../counter/errors.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';
import type { Ack, Policy, PolicyTable } from '../counter/policy.ts';
import { Route } from '../counter/route.ts';
import { unreachable } from '../std/assert.ts';
import type { Region } from './region.ts';
import type { SharedCounter } from './shared-counter.ts';

/** A leading byte order mark is part of the name like any other character. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface Admitted {
  /** Per command its shared counter, pinned; undefined for a local one, or one that is refused. */
  readonly counters: (SharedCounter | undefined)[];
  /** Per command `DONE`, or why it is refused. */
  readonly codes: Uint8Array;
  /** Counters of which nothing is known yet. */
  readonly cold: Set<SharedCounter>;
  /** Positions of commands for whose counters there was no room. */
  crowded: number[];
  /** Updates are acknowledged when the store has confirmed them. */
  acksStore: boolean;
}

export class Admission {
  readonly #region: Region;
  readonly #policies: PolicyTable;
  readonly #ack: Ack;
  hits = 0;
  misses = 0;

  constructor(region: Region, policies: PolicyTable, ack: Ack) {
    this.#region = region;
    this.#policies = policies;
    this.#ack = ack;
  }

  /** Whether no command concerns a shared counter. */
  isLocal(chunk: Chunk): boolean {
    if (this.#policies.isEmpty) return chunk.count === 0;
    for (let i = 0; i < chunk.count; i++) if (this.#policyOf(chunk, i)?.scope !== 'local') return false;
    return true;
  }

  /** Finds and pins the counters of all commands; the caller unpins them. */
  admit(chunk: Chunk): Admitted {
    const counters: (SharedCounter | undefined)[] = new Array(chunk.count).fill(undefined);
    const codes = new Uint8Array(chunk.count);
    const admitted: Admitted = { counters, codes, cold: new Set(), crowded: [], acksStore: false };
    const names = Buffer.from(chunk.names.buffer, chunk.names.byteOffset, chunk.names.byteLength);
    for (let i = 0; i < chunk.count; i++) this.#admit(chunk, names, i, admitted);
    return admitted;
  }

  /** Retries those for which there was no room. */
  admitCrowded(chunk: Chunk, admitted: Admitted): void {
    const { crowded } = admitted;
    admitted.crowded = [];
    const names = Buffer.from(chunk.names.buffer, chunk.names.byteOffset, chunk.names.byteLength);
    for (const i of crowded) this.#admit(chunk, names, i, admitted);
  }

  #admit(chunk: Chunk, names: Buffer, i: number, admitted: Admitted): void {
    const { counters, codes, cold } = admitted;
    const policy = this.#policyOf(chunk, i);
    const route = routeOf(chunk, i, policy);
    chunk.route[i] = route;
    if (route === Route.local) return;
    const needsMore = route === Route.decided && needsAuthority(chunk.op[i] as Op, chunk.options[i]);
    codes[i] = needsMore ? ERRORS.needs_authority.id : DONE;
    const counter = codes[i] === DONE ? this.#find(chunk, names, i, admitted) : undefined;
    if (counter === undefined) return;
    counter.pin();
    counter.isUsed = true;
    counters[i] = counter;
    admitted.acksStore ||= (policy?.ack ?? this.#ack) === 'store';
    if (counter.warmth === 'warm') this.hits++;
    else this.#missed(chunk, i, counter, cold, codes);
  }

  /** After the attempt to load them: refuses commands on counters that are still unknown. */
  judge(chunk: Chunk, { counters, codes }: Admitted): void {
    for (let i = 0; i < chunk.count; i++) {
      const counter = counters[i];
      if (counter !== undefined && counter.warmth !== 'warm') codes[i] = this.#codeOf(chunk, i, counter);
    }
  }

  #missed(chunk: Chunk, i: number, counter: SharedCounter, cold: Set<SharedCounter>, codes: Uint8Array): void {
    this.misses++;
    // While the store is unreachable or not whole, one attempt per call and counter would only queue calls that cannot
    // succeed.
    const isKnownAway = counter.warmth === 'partial' && !(this.#region.isAnswering && this.#region.whole.isWhole);
    if (isKnownAway) codes[i] = this.#codeOf(chunk, i, counter);
    else cold.add(counter);
  }

  #codeOf(chunk: Chunk, i: number, counter: SharedCounter): number {
    if (counter.isDamaged) return ERRORS.store_damaged.id;
    const takesPartial = chunk.acceptsPartial || this.#policyOf(chunk, i)?.partial === true;
    if (counter.warmth === 'partial' && takesPartial && chunk.route[i] === Route.slot) return DONE;
    return this.#region.whole.isWhole ? ERRORS.store_away.id : ERRORS.store_went_back.id;
  }

  #find(chunk: Chunk, names: Buffer, i: number, { codes, crowded }: Admitted): SharedCounter | undefined {
    const start = chunk.nameStart[i] as number;
    const found = this.#region.counters.findBytes(names, start, start + (chunk.nameLength[i] as number));
    if (found !== undefined) return found;
    const name = nameOf(chunk, i);
    if (name === undefined) {
      codes[i] = ERRORS.invalid_name.id;
      return undefined;
    }
    if (this.#region.eviction.hasRoom()) return this.#region.counters.take(name);
    codes[i] = ERRORS.too_many_counters.id;
    crowded.push(i);
    return undefined;
  }

  #policyOf(chunk: Chunk, i: number): Policy | undefined {
    if (this.#policies.isEmpty) return undefined;
    const start = chunk.nameStart[i] as number;
    return this.#policies.find(chunk.names, start, start + (chunk.nameLength[i] as number));
  }
}

/** What one record of one replica can't decide for all of them, is decided. */
function routeOf(chunk: Chunk, i: number, policy: Policy | undefined): Route {
  if (policy?.scope === 'local') return Route.local;
  const op = chunk.op[i] as Op;
  switch (op) {
    case Op.set:
    case Op.delete:
    case Op.expire:
      return Route.decided;
    case Op.add:
    case Op.get:
    case Op.deadline:
      return needsAuthority(op, chunk.options[i]) ? Route.decided : Route.slot;
    default:
      return unreachable(op);
  }
}

/** Commands that have no authority yet: the store can only compare and set. */
function needsAuthority(op: Op, options: CommandOptions | undefined): boolean {
  if (op === Op.expire) return true;
  if (options === undefined) return false;
  const { floor, ceiling, saturate, deadline, onlyIf, id } = options;
  // A set is a compare-and-set in the store, which knows whether the counter exists, but not what others are counting.
  const isConditional = onlyIf !== undefined && (op !== Op.set || typeof onlyIf !== 'string');
  return (
    floor !== undefined ||
    ceiling !== undefined ||
    saturate === true ||
    (deadline !== undefined && deadline.kind !== 'persist') ||
    isConditional ||
    id !== undefined
  );
}

function nameOf(chunk: Chunk, i: number): string | undefined {
  const start = chunk.nameStart[i] as number;
  const length = chunk.nameLength[i] as number;
  if (length === 0 || length > NAME_BYTES_MAX) return undefined;
  try {
    return utf8.decode(chunk.names.subarray(start, start + length));
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
