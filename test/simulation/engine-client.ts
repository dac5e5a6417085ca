/**
 * One client of the simulated engine: it works on its own counters and on one that all share, one call at a time,
 * and keeps account of what it was told. Client c adds B^c to the shared counter, so the digits of that counter to
 * base B are one count per client: they name who was lost and who was doubled.
 */
import { Chunk, type CommandOptions, Flag, type IdempotencyKey, Op } from '../../src/counter/chunk.ts';
import { DONE, ERRORS } from '../../src/counter/errors.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { SeededRandom } from '../../src/std/random.ts';

/** Base of the shared counter's digits; a client adds less often. */
export const BASE = 10_000n;
export const SHARED = 'shared';

/** How often something was counted, as far as the client knows. */
interface Account {
  acknowledged: number;
  /** Asked for, with an outcome that nobody will tell. */
  unknown: number;
}

/** What had been acknowledged to a client when it was told of an update in the group `sequence`. */
interface Standing {
  readonly sequence: bigint;
  readonly shared: number;
  readonly pair: number;
  readonly keys: number;
  /** Where in `#ownStates` its own counter was then. */
  readonly ownAt: number;
}

/** The least that a recovery must show of what a client was told. */
export type Floor = Omit<Standing, 'sequence'>;

/** Errors after which a keyed call may be retried with the same key. */
const RETRIED: ReadonlySet<number> = new Set([ERRORS.unavailable.id, ERRORS.idempotency_unsettled.id]);

export class SimulatedClient {
  readonly index: number;
  readonly #random: SeededRandom;
  #engine: Engine;
  readonly shared: Account = { acknowledged: 0, unknown: 0 };
  readonly pair: Account = { acknowledged: 0, unknown: 0 };
  /** Keys whose update is known to count; each must count exactly once. */
  settledKeys = 0;
  /** The key that is being tried. */
  #key: IdempotencyKey | undefined;
  #keyNumber = 0;
  /** What the client's own counter may hold: undefined for absent. */
  own: Set<bigint | undefined> = new Set([undefined]);
  /** All that its own counter may have held since the last recovery, in order. */
  #ownStates: (bigint | undefined)[] = [undefined];
  readonly #standings: Standing[] = [];
  /** The highest counts that any read has shown, per client. */
  readonly seen: number[];
  /** Calls under way. */
  #generation = 0;
  isBusy = false;
  complaint: string | undefined;

  constructor(index: number, clients: number, random: SeededRandom, engine: Engine) {
    this.index = index;
    this.#random = random;
    this.#engine = engine;
    this.seen = new Array<number>(clients).fill(0);
  }

  get sharedName(): string {
    return SHARED;
  }
  get keyedName(): string {
    return `keyed:${this.index}`;
  }
  get pairNames(): readonly [string, string] {
    return [`pair:${this.index}:a`, `pair:${this.index}:b`];
  }
  get ownName(): string {
    return `own:${this.index}`;
  }
  /** Whether the key being tried may or may not count. */
  get isKeyOpen(): boolean {
    return this.#key !== undefined;
  }

  /** The process is gone: what was under way stays unknown. The next calls go to the new one. */
  reconnect(engine: Engine): void {
    this.#generation++;
    this.isBusy = false;
    this.#engine = engine;
  }

  /** What must be there when everything acknowledged is. */
  get allAcknowledged(): Floor {
    const { shared, pair, settledKeys: keys } = this;
    return { shared: shared.acknowledged, pair: pair.acknowledged, keys, ownAt: this.#ownStates.length };
  }

  /**
   * What must be there when the groups through `sequence` are; groups of an earlier numbering are restated in lower
   * ones.
   */
  acknowledgedThrough(sequence: bigint): Floor | undefined {
    return this.#standings.findLast((standing) => standing.sequence <= sequence);
  }

  /** What its own counter may hold when the state at `ownAt` cannot be taken back. */
  ownSince(ownAt: number): Set<bigint | undefined> {
    return new Set([...this.own, ...this.#ownStates.slice(ownAt)]);
  }

  /** A recovery has shown what counts: that is durable, so it is settled from here on. */
  settle(shared: number, pair: number, keys: number, own: bigint | undefined): void {
    this.shared.acknowledged = shared;
    this.shared.unknown = 0;
    this.pair.acknowledged = pair;
    this.pair.unknown = 0;
    // The key that is being tried came last: it counts only if all before it do.
    this.settledKeys = Math.min(this.settledKeys, keys);
    this.own = new Set([own]);
    this.#ownStates = [own];
    this.#standings.length = 0;
    this.#standings.push({ sequence: 0n, ...this.allAcknowledged, ownAt: 0 });
  }

  /** Starts one call, if none is under way. @param onlySettle nothing new, only the retry of an open key. */
  step(nowMs: number, onlySettle = false): void {
    if (this.isBusy || (onlySettle && this.#key === undefined)) return;
    const choice = onlySettle ? 3 : this.#random.below(10);
    if (choice < 3) this.#addShared();
    else if (choice < 6) this.#addKeyed(nowMs);
    else if (choice === 6) this.#addPair();
    else if (choice === 7) this.#changeOwn();
    else this.#read();
  }

  #call(chunk: Chunk, done: () => void): void {
    const generation = this.#generation;
    this.isBusy = true;
    chunk.complete = () => {
      if (generation !== this.#generation) return;
      this.isBusy = false;
      done();
      if (chunk.refusal === DONE && chunk.sequence > 0n) {
        const ownAt = this.#ownStates.length - 1;
        this.#standings.push({ sequence: chunk.sequence, ...this.allAcknowledged, ownAt });
      }
    };
    this.#engine.submit(chunk);
  }

  /** Before the call it is unknown; the answer settles it. */
  #account(account: Account, chunk: Chunk): void {
    account.unknown++;
    this.#call(chunk, () => {
      if (chunk.refusal === ERRORS.outcome_unknown.id) return;
      account.unknown--;
      if (chunk.refusal === DONE && chunk.code[0] === DONE) account.acknowledged++;
    });
  }

  #addShared(): void {
    const chunk = new Chunk();
    chunk.pushName(Op.add, SHARED, BASE ** BigInt(this.index));
    this.#account(this.shared, chunk);
  }

  #addPair(): void {
    const chunk = new Chunk();
    chunk.atomic = true;
    for (const name of this.pairNames) chunk.pushName(Op.add, name, 1n);
    this.#account(this.pair, chunk);
  }

  #addKeyed(nowMs: number): void {
    this.#key ??= this.#newKey(nowMs);
    const chunk = new Chunk();
    chunk.pushName(Op.add, this.keyedName, 1n);
    chunk.key = this.#key;
    this.#call(chunk, () => {
      const code = chunk.refusal === DONE ? chunk.code[0] : chunk.refusal;
      if (code === ERRORS.outcome_unknown.id || RETRIED.has(code)) return;
      if (code !== DONE) this.complaint = `a keyed add was answered with error ${code}`;
      this.settledKeys++;
      // Each key counts once, so a retry is answered what the first request was, or should have been.
      if (chunk.valueAt(0) !== BigInt(this.settledKeys))
        this.complaint = `key ${this.settledKeys} was answered ${chunk.valueAt(0)}`;
      this.#key = undefined;
    });
  }

  #newKey(nowMs: number): IdempotencyKey {
    const number = (this.index * 1_000_000 + this.#keyNumber++).toString(16).padStart(12, '0');
    const time = nowMs.toString(16).padStart(12, '0');
    const timed = `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${number}`;
    return { scope: 'request', key: this.#random.chance(0.5) ? timed : `key-${number}`, fingerprint: 'ab' };
  }

  /** Sets, deletes or lets expire: last one wins, so an unknown outcome leaves two possible states. */
  #changeOwn(): void {
    const chunk = new Chunk();
    const choice = this.#random.below(4);
    const value = BigInt(this.#random.below(1000));
    const long: CommandOptions = { deadline: { kind: 'in', ms: 1e9 } };
    const past: CommandOptions = { deadline: { kind: 'at', unixMs: 1 } };
    if (choice === 0) chunk.pushName(Op.delete, this.ownName);
    else if (choice === 1) chunk.pushName(Op.set, this.ownName, value, past);
    else chunk.pushName(Op.set, this.ownName, value, choice === 2 ? long : undefined);
    const after = choice < 2 ? undefined : value;
    this.own.add(after);
    this.#ownStates.push(after);
    const before = new Set(this.own);
    this.#call(chunk, () => {
      if (chunk.refusal === ERRORS.outcome_unknown.id) return;
      if (chunk.refusal === DONE && chunk.code[0] === DONE) this.own = new Set([after]);
      else this.own = before;
    });
  }

  #read(): void {
    const chunk = new Chunk();
    chunk.pushName(Op.get, SHARED);
    chunk.pushName(Op.get, this.ownName);
    this.#call(chunk, () => {
      if (chunk.refusal !== DONE) return;
      if (chunk.code[0] === DONE) {
        for (const [client, count] of digits(chunk.valueAt(0), this.seen.length).entries()) {
          if (count < this.seen[client])
            this.complaint = `a read went back: client ${client} from ${this.seen[client]} to ${count}`;
          this.seen[client] = count;
        }
      }
      if (chunk.code[1] !== DONE) return;
      const own = chunk.hasFlag(1, Flag.existed) ? chunk.valueAt(1) : undefined;
      if (!this.own.has(own)) this.complaint = `its own counter reads ${own}`;
      this.own = new Set([own]);
    });
  }
}

/** The counts per client in the shared counter's value. */
export function digits(value: bigint, clients: number): number[] {
  return Array.from({ length: clients }, (_, client) => Number((value / BASE ** BigInt(client)) % BASE));
}
