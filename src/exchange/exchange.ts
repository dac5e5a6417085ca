/**
 * The exchange: a counting service over shared counters. This replica's counts are slots in its engine, with the
 * engine's durability. From the durable stream they go to the store (`publisher.ts`). The counts of others come from
 * the store's feed (`follower.ts`), or are read when a counter is first used (`loader.ts`). A value is the sum of both.
 *
 *     chunk -> counters made warm -> runs to the engine, cuts to the store -> own net + others' part -> complete
 *     durable group -> publisher -> store -> feed -> follower -> the counters of every other replica
 *
 * Store failures never delay an update of a warm counter.
 */
import { type Chunk, Flag, type Op } from '../counter/chunk.ts';
import { CountingError, DONE, ERRORS } from '../counter/errors.ts';
import type { PolicyTable } from '../counter/policy.ts';
import { isRead } from '../counter/route.ts';
import type {
  CountingService,
  ScanPage,
  ScanRequest,
  ServiceInfo,
  SnapshotSummary,
  StoreInfo,
} from '../counter/service.ts';
import { assert } from '../std/assert.ts';
import { type ReplicaId, StoreError } from '../store/slot-store.ts';
import { Admission, type Admitted } from './admission.ts';
import { carryOut, isOneRun, NOT_NOW, submitRun } from './call.ts';
import { Region } from './region.ts';
import type { RegionOptions } from './region-options.ts';
import { scanShared } from './scan.ts';
import { sessionToken, waitForSession } from './session.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SlotJournal } from './slot-journal.ts';
import { type ValueReader, ValueStream } from './value-stream.ts';

/** How long a call waits for evictions: recent counts can be evicted once the store has confirmed them. */
const ROOM_MS = 2_000;
/** After a restart the store is not whole for a moment. */
const WHOLE_MS = 2_000;

export class Exchange implements CountingService {
  readonly #region: Region;
  readonly #engine: SlotJournal;
  readonly #values: ValueStream;
  readonly #admission: Admission;
  readonly #policies: PolicyTable;
  readonly #acksMs: number;
  #underWay = 0;
  #isClosing = false;
  #idle: (() => void) | undefined;

  /**
   * Connects to the store, and then accepts chunks.
   * @throws AttachError, StoreRefusal: the directory and the store do not go together; StoreError: a first connection
   *   needs an answer
   */
  static async open(options: RegionOptions): Promise<Exchange> {
    const values = new ValueStream(options.host.clock, options.onFatal);
    return new Exchange(await Region.open({ ...options, changed: values.changed }), options, values);
  }

  private constructor(region: Region, options: RegionOptions, values: ValueStream) {
    this.#region = region;
    this.#values = values;
    this.#engine = options.engine;
    this.#policies = options.policies;
    this.#acksMs = options.callMs * 2;
    this.#admission = new Admission(region, options.policies, options.ack);
    let sequence = 0n;
    options.engine.readDurable({
      group(of) {
        assert(of > sequence, 'the version of slots grows from group to group');
        sequence = of;
      },
      values: (values) => region.tookSlots(sequence, values),
      // Slots have no deadlines, and leave the engine only when the store keeps them.
      deadline: () => undefined,
      delete: () => undefined,
    });
    region.start();
  }

  submit(chunk: Chunk): void {
    if (this.#isClosing) {
      chunk.refusal = ERRORS.shutting_down.id;
      chunk.complete();
    } else if (this.#admission.isLocal(chunk)) {
      this.#engine.submit(chunk);
    } else if (chunk.key !== undefined || chunk.atomic || chunk.consistency === 'strong') {
      chunk.refusal = ERRORS.needs_authority.id;
      chunk.complete();
    } else {
      this.#take(chunk);
    }
  }

  /**
   * Adds a reader of the values of shared counters that are held here; one that throws leaves, and ends the process.
   * @returns leaves the stream
   */
  readValues(reader: ValueReader): () => void {
    return this.#values.read(reader);
  }

  async scan(request: ScanRequest): Promise<ScanPage> {
    return scanShared(this.#engine, this.#region.counters, request, this.#policies);
  }

  snapshot(): Promise<SnapshotSummary> {
    return this.#engine.snapshot();
  }

  info(): ServiceInfo {
    const store = this.storeInfo();
    return { ...this.#engine.info(), counters: store.held, store };
  }

  storeInfo(): StoreInfo {
    const { hits, misses } = this.#admission;
    return { ...this.#region.info(), hits, misses };
  }

  /**
   * Accepts no more chunks, finishes pending ones, sends everything to the store if it answers, and leaves the baton.
   * After `timeoutMs` the store is no longer called, and everything that waits for it ends.
   * @returns whether the store has everything, and the baton
   */
  async close(timeoutMs: number): Promise<boolean> {
    this.#isClosing = true;
    const idle = new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    if (this.#underWay === 0) this.#idle?.();
    return this.#region.close(timeoutMs, idle);
  }

  #take(chunk: Chunk): void {
    const admitted = this.#admission.admit(chunk);
    const { counters, codes } = admitted;
    if (chunk.transactions.length > 0) refuseTransactions(chunk, admitted);
    this.#underWay++;
    const end = (): void => {
      for (const counter of counters) if (counter !== undefined) this.#region.counters.unpin(counter);
      chunk.asOfMs = this.#region.asOfMs;
      if (this.#region.isGathering && hasChanged(chunk)) this.#region.counted();
      chunk.complete();
      if (--this.#underWay === 0) this.#idle?.();
    };
    const isKnown = admitted.cold.size === 0 && admitted.crowded.length === 0;
    const isSimple = isKnown && chunk.consistency === 'local' && chunk.session === '' && !admitted.acksStore;
    if (isSimple && isOneRun(chunk, codes)) {
      const { replica } = this.#region;
      submitRun(chunk, counters, 0, chunk.count, this.#region.context, () => {
        this.#tellSession(chunk, replica);
        end();
      });
      return;
    }
    chunk.keepNames();
    void this.#carryOut(chunk, admitted).then(end, (error: unknown) => {
      this.#region.unforeseen(error);
      chunk.refusal = ERRORS.internal.id;
      end();
    });
  }

  async #carryOut(chunk: Chunk, admitted: Admitted): Promise<void> {
    const { counters, codes } = admitted;
    if (admitted.crowded.length > 0 && isReading(chunk)) return this.#readInParts(chunk, admitted);
    const endMs = this.#region.host.clock.monotonicMs() + ROOM_MS;
    while (admitted.crowded.length > 0 && (await this.#region.eviction.waitForRoom(endMs))) {
      this.#admission.admitCrowded(chunk, admitted);
    }
    await this.#load(chunk, admitted);
    if (!(await this.#refresh(chunk, admitted))) return;
    const { replica } = this.#region;
    await carryOut(chunk, counters, codes, this.#region.context);
    this.#tellSession(chunk, replica);
    if (admitted.acksStore && hasChanged(chunk) && !(await this.#region.confirmAll(this.#acksMs))) {
      chunk.refusal = ERRORS.timeout.id;
    }
  }

  async #load(chunk: Chunk, admitted: Admitted): Promise<void> {
    // Rereading the region loads them, too.
    if (admitted.cold.size === 0 || chunk.consistency === 'region') return;
    const { whole, loader, host } = this.#region;
    const endMs = host.clock.monotonicMs() + WHOLE_MS;
    let wentBack = true;
    while (wentBack) {
      const isWhole = await whole.becomes(endMs);
      const { round } = whole;
      await new Promise<void>((resolve) => loader.load([...admitted.cold], resolve));
      wentBack = isWhole && whole.round !== round;
    }
    this.#admission.judge(chunk, admitted);
  }

  /** More counters must be read than can be held at once: those already read make room for the others. */
  async #readInParts(chunk: Chunk, admitted: Admitted): Promise<void> {
    const { counters, codes, cold } = admitted;
    const { clock } = this.#region.host;
    for (;;) {
      for (const i of admitted.crowded) codes[i] = NOT_NOW;
      await this.#load(chunk, admitted);
      if (!(await this.#refresh(chunk, admitted))) return;
      await carryOut(chunk, counters, codes, this.#region.context);
      codes.fill(NOT_NOW);
      cold.clear();
      for (const [i, counter] of counters.entries()) {
        if (counter !== undefined) this.#region.counters.unpin(counter);
        counters[i] = undefined;
      }
      if (admitted.crowded.length === 0) return;
      const hasRoom = await this.#region.eviction.waitForRoom(clock.monotonicMs() + ROOM_MS);
      if (hasRoom) this.#admission.admitCrowded(chunk, admitted);
      else for (const i of admitted.crowded.splice(0)) codes[i] = ERRORS.too_many_counters.id;
    }
  }

  /**
   * Waits for what the caller requires reads to contain. @returns false if that is not possible: the chunk is refused
   */
  async #refresh(chunk: Chunk, admitted: Admitted): Promise<boolean> {
    const shared = [...new Set(admitted.counters.filter((counter) => counter !== undefined))];
    try {
      if (chunk.consistency === 'region') {
        await this.#readWhole(shared);
        this.#admission.judge(chunk, admitted);
      }
      if (chunk.session !== '') await waitForSession(chunk.session, shared, this.#region);
      return true;
    } catch (error) {
      if (error instanceof StoreError) chunk.refusal = ERRORS.store_away.id;
      else if (error instanceof CountingError) chunk.refusal = error.entry.id;
      else throw error;
      return false;
    }
  }

  /**
   * Rereads counters once the store has all that the replicas know. @throws StoreError, CountingError store_went_back
   */
  async #readWhole(shared: readonly SharedCounter[]): Promise<void> {
    const { whole, loader, host } = this.#region;
    const endMs = host.clock.monotonicMs() + this.#acksMs;
    for (;;) {
      const { isWhole, round } = whole;
      await loader.refresh(shared);
      if (isWhole && whole.round === round) return;
      if (!(await whole.becomes(endMs))) throw new CountingError('store_went_back');
    }
  }

  /** @param replica as which the chunk began */
  #tellSession(chunk: Chunk, replica: ReplicaId): void {
    // Otherwise it may have counted under either id, which no token can express.
    if (this.#region.replica === replica) chunk.sessionToken = sessionToken(chunk, replica);
  }
}

/** Shared counters arrive at other replicas record by record, so a transaction with a shared counter is refused. */
function refuseTransactions({ transactions }: Chunk, admitted: Admitted): void {
  const { counters, codes } = admitted;
  for (let at = 0; at < transactions.length; at += 2) {
    const [from, to] = transactions.slice(at, at + 2) as [number, number];
    let isShared = false;
    for (let i = from; i < to; i++) isShared ||= counters[i] !== undefined || codes[i] !== DONE;
    if (!isShared) continue;
    codes.fill(ERRORS.needs_authority.id, from, to);
    admitted.crowded = admitted.crowded.filter((i) => i < from || i >= to);
    for (let i = from; i < to; i++) {
      const counter = counters[i];
      counter?.unpin();
      counters[i] = undefined;
    }
  }
}

/** Whether it only reads, so that the order of commands does not matter. */
function isReading(chunk: Chunk): boolean {
  for (let i = 0; i < chunk.count; i++) if (!isRead(chunk.op[i] as Op)) return false;
  return true;
}

function hasChanged(chunk: Chunk): boolean {
  for (let i = 0; i < chunk.count; i++) if (chunk.hasFlag(i, Flag.changed)) return true;
  return false;
}
