/**
 * The interface of a counting service: the doors (HTTP, RESP, embedding) call it and the engine implements it. A chunk
 * goes in and a completion comes out, never a returned value: reads wait for syncs too, and the engine may one day live
 * in another thread.
 */
import type { Chunk } from './chunk.ts';

export interface CountingService {
  /**
   * Applies the chunk's commands in order, in one group, and calls `chunk.complete()` exactly once: when the outcomes
   * are durable as the durability mode requires, or known to be refused or unknown. May call it before returning (reads
   * of durable records). Never throws on bad input: the outcome reports it. If too much is waiting for the disk, the
   * chunk waits for its turn; doors bound their pending work.
   */
  submit(chunk: Chunk): void;

  /**
   * One page of the counters, in no particular order. A counter that exists from the first page to the last is listed
   * exactly once; one that is created or deleted meanwhile may or may not be. Shows only durable values.
   * @throws CountingError invalid_cursor, unavailable
   */
  scan(request: ScanRequest): Promise<ScanPage>;

  /**
   * Writes a snapshot and drops the journal that it replaces.
   * @throws CountingError unavailable
   */
  snapshot(): Promise<SnapshotSummary>;

  info(): ServiceInfo;
}

export interface ScanRequest {
  /** From the previous page; undefined to start. */
  readonly cursor?: string | undefined;
  /** Redis-style glob over the name's bytes: `*`, `?`, `[a-z]`, `[^x]`, backslash. Undefined: all. */
  readonly match?: string | undefined;
  /** How many counters to look at, at least 1; a page holds those of them that match. It may look at fewer. */
  readonly count: number;
}

export interface ScanPage {
  readonly entries: readonly ScanEntry[];
  /** For the next page; undefined at the end. Decimal digits, below 2^53. */
  readonly cursor: string | undefined;
}

export interface ScanEntry {
  readonly name: string;
  readonly value: bigint;
  /** Unix ms, or undefined. */
  readonly deadlineMs: number | undefined;
  /** Unix seconds of the last update. */
  readonly updatedAtSeconds: number;
}

export interface SnapshotSummary {
  readonly file: string;
  readonly counters: number;
  readonly bytes: number;
  /** Sequence number of the last group that it covers. */
  readonly sequence: bigint;
}

/**
 * `open`: takes everything; `failing`: the journal is being replaced, updates are refused; `closing`: no new chunks.
 */
export type ServiceState = 'open' | 'failing' | 'closing' | 'closed';

export interface ServiceInfo {
  readonly state: ServiceState;
  readonly durability: Durability;
  readonly counters: number;
  readonly sequence: bigint;
  readonly durableSequence: bigint;
  readonly groups: number;
  readonly syncs: number;
  readonly commands: number;
  readonly journalBytes: number;
  /** Memory of counters, their deadlines and ids of imports, and its limit, at which new ones are refused. */
  readonly tableBytes: number;
  readonly tableBytesMax: number;
  readonly idempotencyRecords: number;
  readonly idempotencyBytes: number;
  /** The journal's error, while `failing`. */
  readonly failure: string | undefined;
  /** Of the store that nodes share, where there is one. */
  readonly store?: StoreInfo | undefined;
}

/** The state between this replica and the store. */
export interface StoreInfo {
  /** This replica's id. */
  readonly replica: string;
  /** Whether the store never loses what it has confirmed. */
  readonly isDurable: boolean;
  /** Whether it answered lately. */
  readonly isAnswering: boolean;
  /** Everything confirmed at this time, Unix ms, is known here; 0: nothing yet. */
  readonly asOfMs: number;
  /** Shared counters that are held here, and an estimate of the memory for them. */
  readonly held: number;
  readonly heldBytes: number;
  /** Slots that the store has yet to confirm. */
  readonly backlog: number;
  /** Calls that sent slots to the store, and the slots in them. */
  readonly calls: number;
  readonly slotsSent: number;
  /** Counters read from the store; counters evicted from memory. */
  readonly loads: number;
  readonly evicted: number;
  /** How often the store returned something impossible: unreadable records, slots with two contents. */
  readonly damaged: number;
  /** How often it went back in time: it had lost confirmed state, which was sent again. */
  readonly wentBack: number;
  /** Commands that found their counter here, and those that did not. */
  readonly hits: number;
  readonly misses: number;
}

/** When an update is acknowledged: after its fdatasync; after its write, synced every second; at once. */
export type Durability = 'always' | 'interval' | 'off';

export const DURABILITIES: readonly Durability[] = ['always', 'interval', 'off'];
