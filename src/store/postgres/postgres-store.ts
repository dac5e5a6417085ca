/**
 * A slot store in PostgreSQL 13 or newer. `migrations.ts` describes the tables, `connections.ts` the queries,
 * `cursor.ts` how readers follow changes.
 */

import { assert } from '../../std/assert.ts';
import type {
  Assertion,
  Changes,
  CutRequest,
  Guarantees,
  Lease,
  NamedCut,
  ReplicaId,
  SlotPage,
  SlotStore,
  StoredState,
  StoreIdentity,
} from '../slot-store.ts';
import { StoreError, StoreRefusal } from '../slot-store.ts';
import { Connections } from './connections.ts';
import { formatCursor, parseCursor } from './cursor.ts';
import { type ChangeRow, changes, makeRoom, type Present } from './feed.ts';
import { readLease, readLeases, readPage, readStates } from './reads.ts';
import * as rows from './rows.ts';
import { setUp } from './setup.ts';
import { makeCuts, mergeCuts, mergeSlots, swapLease } from './writes.ts';

const SCHEMA = 'tallyd';
const CALL_MS = 5_000;
const CONNECTIONS_MAX = 4;
const RETENTION_MS = 3_600_000;
const NOBODY = '0'.repeat(32);
/** How many times per period room is made in the feed. */
const ROOM_CHECKS_PER_PERIOD = 4;

export interface PostgresOptions {
  /** `postgres://user:password@host:5432/database`, with `?sslmode=verify-full&sslrootcert=...` and the like. */
  readonly url: string;
  /** Every call ends within this time. 5 s unless told. */
  readonly callMs?: number;
  /** 4 unless told. */
  readonly connectionsMax?: number;
  /** Where the tables are: lower-case letters, digits and underscores. `tallyd` unless told. */
  readonly schema?: string;
  /** How long a cursor is served. Set when the tables are created. Default 1 h. */
  readonly retentionMs?: number;
}

export class PostgresStore implements SlotStore {
  readonly guarantees: Guarantees = {
    durable: true,
    notes: [
      'what is confirmed is on the disk of the PostgreSQL server, and no crash or restart of it takes it back',
      'a failover to a standby that has not got it takes back the last updates and resets: list the standby in ' +
        'synchronous_standby_names to rule that out',
      'restoring a backup takes back what came after it',
    ],
  };
  readonly #connections: Connections;
  readonly #schema: string;
  readonly #retentionMs: number;
  #roomCheckAtMs = 0;

  private constructor(connections: Connections, schema: string, retentionMs: number) {
    this.#connections = connections;
    this.#schema = schema;
    this.#retentionMs = retentionMs;
  }

  /**
   * Loads the driver; connects with the first call. @throws StoreRefusal if the driver is missing or an option is
   * wrong.
   */
  static async open(options: PostgresOptions): Promise<PostgresStore> {
    const { url, callMs = CALL_MS, connectionsMax = CONNECTIONS_MAX, schema = SCHEMA } = options;
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
      throw new StoreRefusal(
        `the schema ${JSON.stringify(schema)} is not allowed: use lower-case letters, digits and underscores, at most 63`,
      );
    }
    const connections = await Connections.open({ url, callMs, connectionsMax });
    return new PostgresStore(connections, `"${schema}"`, options.retentionMs ?? RETENTION_MS);
  }

  async identity(expected?: string): Promise<StoreIdentity> {
    const options = { schema: this.#schema, retentionMs: this.#retentionMs, expected };
    const identity = await this.#connections.inTime((timeLimit) => setUp(this.#connections, timeLimit, options));
    this.#connections.keepTo(this.#schema, { ...identity, id: expected ?? identity.id });
    return identity;
  }

  async merge({ slots, cuts }: Assertion): Promise<void> {
    // In parallel: neither holds locks that the other would wait for longer than one statement.
    await Promise.all([
      slots.length > 0 && this.#connections.run(mergeSlots(this.#schema), rows.slotArrays(slots)),
      this.#mergeCuts(cuts),
    ]);
  }

  /** Repeats the cuts that others created while the statement ran. */
  #mergeCuts(cuts: readonly NamedCut[]): Promise<void> {
    return this.#connections.inTime(async (timeLimit) => {
      for (let left = cuts; left.length > 0; ) {
        const values = rows.cutArrays(left);
        const found = await this.#connections.run<{ name: Buffer }>(mergeCuts(this.#schema), values, timeLimit);
        const names = new Set(found.map(({ name }) => name.toString()));
        left = left.filter(({ name }) => names.has(name));
      }
    });
  }

  async read(names: readonly string[]): Promise<readonly StoredState[]> {
    if (names.length === 0) return [];
    const text = readStates(this.#schema);
    const found = await this.#connections.runUnderTerm<rows.StateRow>(text, [rows.nameArray(names)]);
    return rows.statesOf(names, found);
  }

  async changes(cursor: string | undefined, reader: ReplicaId = NOBODY): Promise<Changes> {
    const { id, term, atMs, xmax, inProgress } = parseCursor(cursor);
    const values = [id, term, atMs, xmax, inProgress, reader];
    const found = await this.#connections.run<ChangeRow>(changes(this.#schema), values);
    let present: Present | undefined;
    const changed: rows.StateRow[] = [];
    for (const row of found) {
      if (row.present === null) changed.push(row);
      else present = row.present;
    }
    if (present === undefined) throw new StoreError(`PostgreSQL: ${this.#schema}.meta is empty`);
    this.#makeRoom(Number(present.atMs), present.periodMs);
    return {
      ...rows.parts(changed),
      cursor: formatCursor(present.id, present.term, present.atMs, present.snapshot),
      resync: !present.isComplete,
      term: present.term,
    };
  }

  async cut(requests: readonly CutRequest[]): Promise<readonly boolean[]> {
    for (const { expectedVersion, next } of requests) {
      assert(next.version > expectedVersion, 'a cut follows the version that is expected');
    }
    const made = requests.map(() => false);
    await this.#connections.inTime(async (timeLimit) => {
      for (const round of rounds(requests)) {
        const values = rows.requestArrays(round.map((at) => requests[at]));
        const found = await this.#connections.runUnderTerm<{ name: Buffer }>(makeCuts(this.#schema), values, timeLimit);
        const names = new Set(found.map(({ name }) => name.toString()));
        for (const at of round) made[at] = names.has(requests[at].name);
      }
    });
    return made;
  }

  async slotsOf(replica: ReplicaId, cursor: string | undefined): Promise<SlotPage> {
    const [, nameHex = '', after = '0'.repeat(32)] = /^((?:[0-9a-f]{2})+)\.([0-9a-f]{32})$/.exec(cursor ?? '') ?? [];
    const found = await this.#connections.run<rows.SlotRow & { is_last: boolean }>(readPage(this.#schema), [
      replica,
      `\\x${nameHex}`,
      after,
    ]);
    const last = found.find((row) => row.is_last);
    return {
      slots: found.filter((row) => !row.is_last).flatMap((row) => rows.namedSlot(row) ?? []),
      cursor: last && `${last.name.toString('hex')}.${last.replica.replaceAll('-', '')}`,
    };
  }

  async lease(replica: ReplicaId): Promise<Lease | undefined> {
    const [found] = await this.#connections.run<rows.LeaseRow>(readLease(this.#schema), [replica]);
    return found && rows.lease(found);
  }

  async leases(): Promise<readonly Lease[]> {
    return (await this.#connections.run<rows.LeaseRow>(readLeases(this.#schema))).map(rows.lease);
  }

  async swapLease(replica: ReplicaId, expectedVersion: number, document: string): Promise<boolean> {
    const values = [replica, `${expectedVersion}`, document];
    return (await this.#connections.run(swapLease(this.#schema), values)).length === 1;
  }

  close(): Promise<void> {
    return this.#connections.close();
  }

  /**
   * From time to time, beside the calls: readers of the feed keep room in it. Nothing depends on this node doing it
   * now.
   */
  #makeRoom(nowMs: number, periodMs: number): void {
    if (nowMs < this.#roomCheckAtMs) return;
    this.#roomCheckAtMs = nowMs + periodMs / ROOM_CHECKS_PER_PERIOD;
    this.#connections.run(makeRoom(this.#schema)).catch(() => {
      // The partition is being read, or the server is unreachable: the next check, here or elsewhere, does it.
    });
  }
}

/** A statement cannot change one row twice: requests for the same name are sent in successive rounds. */
function rounds(requests: readonly CutRequest[]): number[][] {
  const all: number[][] = [];
  const seen = new Map<string, number>();
  requests.forEach(({ name }, at) => {
    const round = seen.get(name) ?? 0;
    seen.set(name, round + 1);
    all[round] ??= [];
    all[round].push(at);
  });
  return all;
}
