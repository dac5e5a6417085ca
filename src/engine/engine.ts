/**
 * The engine: one replica's counting service. It is the single writer of its table, and everything it reports has gone
 * through its journal first. The life of a chunk:
 *
 *     submit -> Submission (keys, then Commands in order, changing Records) -> gathering Group
 *            -> Committer (seal, write, sync) -> chunk.complete(), and the group goes to the durable stream
 *
 * There is no global state: several engines can live side by side.
 */
import type { Chunk } from '../counter/chunk.ts';
import { CountingError, ERRORS } from '../counter/errors.ts';
import type { Kind } from '../counter/key.ts';
import type { Policy } from '../counter/policy.ts';
import type {
  CountingService,
  Durability,
  ScanPage,
  ScanRequest,
  ServiceInfo,
  ServiceState,
  SnapshotSummary,
} from '../counter/service.ts';
import { throwSoon } from '../host/fault.ts';
import type { Disk, Host } from '../host/host.ts';
import type { JournalFailure } from '../journal/errors.ts';
import { Journal } from '../journal/journal.ts';
import { Arrivals } from './arrivals.ts';
import { Commands } from './commands.ts';
import { Committer } from './committer.ts';
import { type DurableReader, DurableStream } from './durable-stream.ts';
import { completeGroup, SnapshotParts } from './encoding.ts';
import type { Group } from './group.ts';
import { IDEMPOTENCY_DEFAULTS, type IdempotencyOptions, IdempotencyStore } from './idempotency.ts';
import { Leaving } from './leaving.ts';
import { type DurablePage, Listing } from './listing.ts';
import { Loading } from './loading.ts';
import { Memory } from './memory.ts';
import { Records } from './records.ts';
import { Scans } from './scans.ts';
import { Snapshots } from './snapshots.ts';
import { Submission } from './submission.ts';
import { Sweep } from './sweep.ts';
import { TURN_STEPS, Turns } from './turns.ts';

export interface EngineOptions {
  readonly disk: Disk;
  readonly host: Host;
  readonly durability: Durability;
  readonly policies?: readonly Policy[] | undefined;
  readonly idempotency?: Partial<IdempotencyOptions> | undefined;
  /**
   * A snapshot is written when the journal since the last one has grown to this, and to half of that one's size:
   * writing all records again is then paid for by as many updates. Default 256 MiB.
   */
  readonly snapshotJournalBytes?: number | undefined;
  readonly segmentBytesMax?: number | undefined;
  /** How far segments of the journal are allocated ahead. Default: not at all. */
  readonly allocateBytes?: number | undefined;
  /** New names beyond this are refused (`too_many_counters`). Default: what the memory for them holds. */
  readonly countersMax?: number | undefined;
  /**
   * What counters, deadlines and ids of imports may take outside of the heap; then new ones are refused. Default: no
   * limit.
   */
  readonly memoryBytesMax?: number | undefined;
  /** Called when the journal or a snapshot fails; the engine recovers by itself. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  /** Called for damage that a start tolerates. */
  readonly onDamaged?: ((what: string) => void) | undefined;
  /** Called when the journal works again. */
  readonly onRepaired?: (() => void) | undefined;
}

const SNAPSHOT_JOURNAL_BYTES = 256 * 1024 * 1024;
/** The snapshot must not delay the exit; the journal has everything anyway. */
const CLOSE_SNAPSHOT_MS = 4_000;
/** How often a stop checks whether a failing journal works again. */
const REPAIR_POLL_MS = 20;
const NOT_DURABLE =
  'the journal could not be written before the stop: of the updates since the last flush that succeeded any may be lost; free or mend the disk, and start again';
const HASH_KEY_BYTES = 8;

export class Engine implements CountingService {
  /** The newest group found at the start; later groups are of this process. */
  readonly recoveredSequence: bigint;
  /** The ordinals of slots read at the start; some may be gone since: `slotOrdinals` checks. */
  readonly recoveredOrdinals: ReadonlySet<number>;
  readonly #options: EngineOptions;
  readonly #journal: Journal;
  readonly #committer: Committer;
  readonly #records: Records;
  readonly #keys: IdempotencyStore;
  readonly #listing: Listing;
  readonly #arrivals: Arrivals;
  readonly #stream: DurableStream;
  readonly #turns: Turns;
  readonly #scans: Scans;
  readonly #leaving: Leaving;
  readonly #sweep: Sweep;
  readonly #snapshots: Snapshots;
  #closing: Promise<void> | undefined;
  #isClosed = false;
  #failure: string | undefined;
  #groupCount = 0;

  /**
   * Recovers the directory and then accepts chunks.
   * @throws DamageError if a file is damaged; nothing is changed then.
   */
  static async open(options: EngineOptions): Promise<Engine> {
    const { random, clock } = options.host;
    const hashKey = random.bytes(HASH_KEY_BYTES);
    const memory = new Memory(options.memoryBytesMax);
    const groups: Group[] = [];
    const records = new Records({
      hashKey,
      policies: options.policies ?? [],
      countersMax: options.countersMax ?? Number.MAX_SAFE_INTEGER,
      memory,
      groups,
    });
    const keys = new IdempotencyStore({ ...IDEMPOTENCY_DEFAULTS, ...options.idempotency }, clock, memory, hashKey);
    const loading = new Loading(records, keys);
    const { disk, host, segmentBytesMax, allocateBytes, onDamaged } = options;
    let engine: Engine | undefined;
    const onFailure = (failure: JournalFailure): void => {
      if (engine !== undefined) engine.#committer.interrupt(failure);
    };
    const site = { disk, host, segmentBytesMax, allocateBytes };
    const table = () => new SnapshotParts(records, keys);
    const journal = await Journal.open({ ...site, replay: loading, table, onFailure, onDamaged });
    loading.finish();
    engine = new Engine(options, journal, records, keys, groups, loading.slotOrdinals());
    return engine;
  }

  private constructor(
    options: EngineOptions,
    journal: Journal,
    records: Records,
    keys: IdempotencyStore,
    groups: Group[],
    recoveredOrdinals: ReadonlySet<number>,
  ) {
    this.#options = options;
    this.recoveredOrdinals = recoveredOrdinals;
    this.#journal = journal;
    this.recoveredSequence = journal.sequence;
    this.#records = records;
    this.#keys = keys;
    const readsWait = options.durability === 'always';
    const commands = new Commands(records, readsWait);
    this.#committer = new Committer({
      journal,
      clock: options.host.clock,
      durability: options.durability,
      groups,
      events: {
        encode: (group) => completeGroup(group, records),
        isStreamed: () => this.#stream.isRead,
        durable: (group) => this.#onDurable(group),
        told: (refs) => this.#leaving.settle(refs),
        restated: (group) => this.#onRestated(group),
        room: () => this.#drain(),
        failed: (error) => this.#onFailed(error),
        repaired: () => this.#onRepaired(),
      },
    });
    this.#stream = new DurableStream((fault) => throwSoon(options.host.clock, fault));
    this.#turns = new Turns(options.host.clock, () => this.#drain());
    this.#arrivals = new Arrivals({
      submission: new Submission(records, commands, this.#committer, keys),
      commands,
      committer: this.#committer,
      turns: this.#turns,
      clock: options.host.clock,
      durability: options.durability,
    });
    this.#listing = new Listing(records, this.#committer, readsWait, options.host.random.bytes(HASH_KEY_BYTES));
    this.#scans = new Scans(this.#listing, this.#committer, this.#turns, options.host.clock);
    this.#leaving = new Leaving(records, this.#committer, this.#turns);
    this.#snapshots = new Snapshots({
      journal,
      committer: this.#committer,
      clock: options.host.clock,
      grownBytes: options.snapshotJournalBytes ?? SNAPSHOT_JOURNAL_BYTES,
      parts: (isLast) => new SnapshotParts(records, keys, isLast),
      flush: () => this.flush(),
      mayRun: () => this.state === 'open',
      onFailure: (error) => options.onFailure?.(error),
    });
    const mayRun = () => this.state === 'open' && this.#arrivals.isEmpty;
    this.#sweep = new Sweep(records, this.#committer, options.host.clock, mayRun);
  }

  get state(): ServiceState {
    if (this.#isClosed) return 'closed';
    if (this.#closing !== undefined) return 'closing';
    return this.#committer.isFailing ? 'failing' : 'open';
  }

  submit(chunk: Chunk): void {
    if (this.#closing !== undefined) {
      chunk.refusal = ERRORS.shutting_down.id;
      chunk.complete();
    } else {
      this.#arrivals.take(chunk);
    }
  }

  /**
   * For a caller in this process that adds without waiting: applies the chunk now, or not at all if there is no room,
   * and never completes it. `flush` reports when it is durable; the caller can reuse the chunk at once.
   * @returns whether there was room
   */
  executeNow(chunk: Chunk): boolean {
    if (this.#closing !== undefined) {
      chunk.refusal = ERRORS.shutting_down.id;
      return true;
    }
    if (!this.#arrivals.hasRoom(chunk.count)) {
      this.#committer.kick();
      return false;
    }
    this.#arrivals.execute(chunk, 0, chunk.count);
    return true;
  }

  /** Whether this many adds could be applied now, with no refusal but an overflow. */
  takesAdds(count: number): boolean {
    return this.state === 'open' && this.#arrivals.hasRoom(count) && this.#records.areUnbounded;
  }

  async scan(request: ScanRequest): Promise<ScanPage> {
    if (this.#closing !== undefined) throw new CountingError('shutting_down');
    return this.#scans.scan(request);
  }

  /**
   * Resolves when everything applied so far is durable, in every mode.
   * @throws CountingError outcome_unknown when its group failed
   */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#committer.flush({ durable: resolve, failed: () => reject(new CountingError('outcome_unknown')) });
    });
  }

  /** @throws CountingError unavailable if the disk cannot take it, shutting_down */
  async snapshot(): Promise<SnapshotSummary> {
    if (this.#committer.isFailing) throw new CountingError('unavailable');
    if (this.#isClosed) throw new CountingError('shutting_down');
    return this.#snapshots.write(false);
  }

  /** The newest group that is durable, with all before it. */
  get durableSequence(): bigint {
    return this.#committer.durableSequence;
  }

  /**
   * A page of the records of one kind that are durable as they stand, in record order; records touched by a pending
   * group are omitted, because the durable stream will deliver them. @param cursor of the page before, 0 to begin.
   */
  durablePage(kind: Kind, cursor: number, count: number): DurablePage {
    return this.#listing.durablePage(kind, cursor, count);
  }

  /** The ordinals of all records of the kind `slot`. Scans every record. */
  slotOrdinals(): ReadonlySet<number> {
    return this.#listing.slotOrdinals();
  }

  /**
   * Resolves in a turn of the event loop with room for work beside chunks, and takes this many steps of it: see
   * `turns.ts`.
   */
  turn(steps: number): Promise<void> {
    return this.#turns.next(steps);
  }

  /**
   * Adds a reader of the durable stream; one that throws leaves it, and ends the process. @returns leaves the stream
   */
  readDurable(reader: DurableReader): () => void {
    return this.#stream.read(reader);
  }

  info(): ServiceInfo {
    return {
      state: this.state,
      durability: this.#options.durability,
      counters: this.#records.count,
      sequence: this.#committer.sequence,
      durableSequence: this.#committer.durableSequence,
      groups: this.#groupCount,
      syncs: this.#committer.syncs,
      commands: this.#arrivals.commands,
      journalBytes: this.#journal.bytesSinceSnapshot,
      tableBytes: this.#records.memory.bytes,
      tableBytesMax: this.#records.memory.bytesMax,
      idempotencyRecords: this.#keys.count,
      idempotencyBytes: this.#keys.bytes,
      failure: this.#failure,
    };
  }

  /**
   * Refuses new chunks, waits until everything accepted is durable, writes a snapshot if the next start would have much
   * to replay, and closes the journal.
   * @param snapshotMs the limit for the last or a running snapshot, and for waiting on a failing disk
   * @throws CountingError outcome_unknown if the journal could not be written by then: it is closed, and not everything
   *   is durable
   */
  close(snapshotMs = CLOSE_SNAPSHOT_MS): Promise<void> {
    this.#closing ??= this.#close(this.#options.host.clock.monotonicMs() + snapshotMs);
    return this.#closing;
  }

  async #close(endMs: number): Promise<void> {
    this.#sweep.stop();
    const snapshots = this.#snapshots;
    if (snapshots.underWay !== undefined) await snapshots.takesUntil(endMs, snapshots.underWay);
    const isDurable = await this.#becomesDurable(endMs);
    if (isDurable) this.#leaving.finish();
    if (isDurable && snapshots.isWorthwhile) await snapshots.takesUntil(endMs, snapshots.write(true));
    this.#isClosed = true;
    this.#committer.close();
    await this.#journal.close();
    if (!isDurable) throw new CountingError('outcome_unknown', NOT_DURABLE);
  }

  /** Whether everything accepted is durable; waits for a failing journal until `endMs`. */
  async #becomesDurable(endMs: number): Promise<boolean> {
    const { clock } = this.#options.host;
    for (;;) {
      const isDurable = await this.flush().then(() => true, ignoreUnknown);
      if (isDurable === true && this.#arrivals.isEmpty) return true;
      if (!this.#committer.isFailing) continue;
      if (clock.monotonicMs() >= endMs) return false;
      await new Promise<void>((resolve) => clock.schedule(REPAIR_POLL_MS, resolve));
    }
  }

  #drain(): void {
    this.#arrivals.drain();
    this.#snapshots.whenDue();
  }

  #onDurable(group: Group): void {
    this.#groupCount++;
    this.#leaving.settle(group.late);
    if (group.buffer !== undefined) this.#stream.feed(group.buffer);
  }

  /** It can be large, so it is read piece by piece, beside requests. */
  async #onRestated({ encoding }: Group): Promise<void> {
    this.#groupCount++;
    for (let piece = 0; piece < encoding.pieces && this.#stream.isRead; piece++) {
      await this.turn(TURN_STEPS);
      this.#stream.feed(encoding, piece);
    }
  }

  #onFailed(error: unknown): void {
    this.#failure = error instanceof Error ? error.message : String(error);
    this.#options.onFailure?.(error);
  }

  #onRepaired(): void {
    this.#failure = undefined;
    this.#options.onRepaired?.();
  }
}

/** During a stop, the callers concerned have already been notified of an unknown outcome. */
function ignoreUnknown(error: unknown): void {
  if (!(error instanceof CountingError)) throw error;
}
