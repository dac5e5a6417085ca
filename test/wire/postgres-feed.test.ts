// How the slot store in PostgreSQL tells what changed, whatever else goes on in the server.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fold, noCut, total } from '../../src/crdt/cut.ts';
import { CHANGES_MAX, changes, makeRoom, turnAt } from '../../src/store/postgres/feed.ts';
import { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { slotArrays } from '../../src/store/postgres/rows.ts';
import { mergeSlots } from '../../src/store/postgres/writes.ts';
import type { NamedSlot } from '../../src/store/slot-store.ts';
import { lacks } from '../programs.ts';
import { PostgresProcess } from './postgres-process.ts';

const randomId = (): string => randomBytes(16).toString('hex');
const slotOf = (name: string, net = 1n): NamedSlot => ({ name, replica: randomId(), version: 1n, net });
const one = (name: string, net?: bigint) => ({ slots: [slotOf(name, net)], cuts: [] });

describe.skipIf(lacks('initdb'))('the feed of the slot store in PostgreSQL', () => {
  let root: string;
  let server: PostgresProcess;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-postgres-feed-'));
    server = await PostgresProcess.start(root);
  });

  afterAll(async () => {
    await server.stop();
    await rm(root, { recursive: true, force: true });
  });

  async function withStore(
    run: (store: PostgresStore) => Promise<void>,
    options: { schema?: string; retentionMs?: number } = {},
  ): Promise<void> {
    const store = await PostgresStore.open({ url: server.url(), ...options });
    try {
      await store.identity();
      await run(store);
    } finally {
      await store.close();
    }
  }

  const names = async (store: PostgresStore, cursor: string): Promise<string[]> => {
    const { slots, resync } = await store.changes(cursor);
    expect(resync).toBe(false);
    return [...new Set(slots.map(({ name }) => name))].sort();
  };

  it('goes on, and repeats nothing, while a transaction elsewhere stays open', () =>
    withStore(async (store) => {
      const other = await server.connect();
      await other.query('CREATE TABLE elsewhere (a integer)');
      await other.query('BEGIN');
      await other.query('INSERT INTO elsewhere VALUES (1)');
      const [a, b] = [randomId(), randomId()];
      const first = await store.changes(undefined);
      await store.merge(one(a));
      const second = await store.changes(first.cursor);
      expect(second.slots.map(({ name }) => name)).toEqual([a]);
      await store.merge(one(b));
      const third = await store.changes(second.cursor);
      expect(third.slots.map(({ name }) => name)).toEqual([b]);
      expect(await names(store, third.cursor)).toEqual([]);
      await other.query('COMMIT');
      await other.end();
      expect(await names(store, third.cursor)).toEqual([]);
    }));

  it('tells what was written before the cursor and committed after it, once', () =>
    withStore(async (store) => {
      const late = await server.connect();
      await late.query('BEGIN');
      const name = randomId();
      await late.query(mergeSlots('"tallyd"'), slotArrays([slotOf(name)]));
      const first = await store.changes(undefined);
      const early = randomId();
      await store.merge(one(early));
      const second = await store.changes(first.cursor);
      expect(second.slots.map(({ name }) => name)).toEqual([early]);
      await late.query('COMMIT');
      await late.end();
      const third = await store.changes(second.cursor);
      expect(third.slots.map(({ name }) => name)).toEqual([name]);
      expect(await names(store, third.cursor)).toEqual([]);
      expect(await names(store, first.cursor)).toEqual([early, name].sort());
    }));

  it('forgets what was rolled back, and tells only what changed something', () =>
    withStore(async (store) => {
      const late = await server.connect();
      await late.query('BEGIN');
      await late.query(mergeSlots('"tallyd"'), slotArrays([slotOf(randomId())]));
      const assertion = one(randomId());
      await store.merge(assertion);
      const { cursor } = await store.changes(undefined);
      await late.query('ROLLBACK');
      await late.end();
      await store.merge(assertion);
      expect(await names(store, cursor)).toEqual([]);
    }));

  it('asks to resync for a cursor of another store, of the future, or that says nonsense', () =>
    withStore(async (store) => {
      const { cursor } = await store.changes(undefined);
      const [id, term, at, snapshot] = cursor.split('.') as [string, string, string, string];
      const [xmin, xmax] = snapshot.split(':') as [string, string];
      expect((await store.changes(cursor)).resync).toBe(false);
      for (const wrong of [
        [randomId(), term, at, snapshot],
        [id, `1${term}`, at, snapshot],
        [id, term, `${Number(at) + 3_600_000}`, snapshot],
        [id, term, `${Number(at) - 3_700_000}`, snapshot],
        [id, term, '999999999999999', snapshot],
        [id, '9999999999999999999', at, snapshot],
        [id, term, at, `${xmin}:${BigInt(xmax) + 1_000n}:`],
        [id, term, at, `${xmin}:9999999999999999999:`],
        [id, term, at, `${xmin}:${xmax}:9999999999999999999`],
        [id, term, at, `${xmin}:${xmax}:5,`],
        [id, term, at, `${xmin}:${xmax}:5'`],
        [id, term, at],
      ]) {
        expect((await store.changes(wrong.join('.'))).resync, wrong.join('.')).toBe(true);
      }
      // Odd, and harmless.
      expect((await store.changes([id, term, at, `9:${xmax}:8,8,3`].join('.'))).resync).toBe(false);
    }));

  it('begins anew when the tables were dropped and made again', () =>
    withStore(
      async (store) => {
        const { cursor } = await store.changes(undefined);
        await server.sql('DROP SCHEMA dropped CASCADE');
        await store.identity();
        expect((await store.changes(cursor)).resync).toBe(true);
      },
      { schema: 'dropped' },
    ));

  // Of a ring that comes round in little more than a second. On a slow machine a cursor may be too old for it: then it
  // says so.
  const quickly = { retentionMs: 300 };

  it('serves a cursor for the retention, and empties what is older, again and again', () =>
    withStore(
      async (store) => {
        const first = await store.changes(undefined);
        for (let turns = 0; turns < 2; turns++) {
          let { cursor } = await store.changes(undefined);
          const name = randomId();
          await store.merge(one(name));
          const seen: string[] = [];
          // When the partition of this row is empty, the ring has nearly come round.
          while ((await server.sql('SELECT FROM short.feed')).length > 0) {
            const next = await store.changes(cursor);
            seen.push(...next.slots.map((state) => state.name), ...(next.resync ? [name] : []));
            cursor = next.cursor;
          }
          expect(new Set(seen)).toEqual(new Set([name]));
        }
        expect((await store.changes(first.cursor)).resync).toBe(true);
      },
      { schema: 'short', ...quickly },
    ));

  it('takes and tells changes also while someone reads the whole feed for long', () =>
    withStore(
      async (store) => {
        const dump = await server.connect();
        await dump.query('BEGIN; SELECT FROM dumped.feed');
        let { cursor } = await store.changes(undefined);
        await store.merge(one(randomId()));
        const [first] = await server.sql<{ xid: string }>('SELECT xid FROM dumped.feed');
        // Long enough for the ring to come round.
        const end = `SELECT at + interval '2 s' < clock_timestamp() AS is_over FROM dumped.feed WHERE xid = $1`;
        for (let isOver = false; !isOver; ) {
          const name = randomId();
          await store.merge(one(name));
          const next = await store.changes(cursor);
          if (!next.resync) expect(next.slots.map((state) => state.name)).toContain(name);
          cursor = next.cursor;
          isOver = (await server.sql<{ is_over: boolean }>(end, [first?.xid]))[0]?.is_over ?? true;
        }
        const isThere = async (): Promise<boolean> =>
          (await server.sql('SELECT FROM dumped.feed WHERE xid = $1', [first?.xid])).length === 1;
        expect(await isThere()).toBe(true);
        await dump.query('COMMIT');
        await dump.end();
        while (await isThere()) await store.changes(undefined);
      },
      { schema: 'dumped', ...quickly },
    ));

  it('empties the partitions whose turn is next, and no other', () =>
    withStore(
      async (store) => {
        await store.changes(undefined);
        await server.sql('INSERT INTO ring.feed (turn, size) SELECT turn, 0 FROM generate_series(0, 7) AS turn');
        await Promise.all(Array.from({ length: 8 }, () => server.sql(makeRoom('"ring"')).catch(() => {})));
        for (let i = 0; i < 8; i++) await server.sql(makeRoom('"ring"'));
        const [{ now }] = await server.sql<{ now: string }>(`SELECT ${turnAt('"ring"')} AS now`);
        const left = await server.sql<{ turn: number }>('SELECT turn FROM ring.feed');
        const passed = left.map(({ turn }) => (Number(now) - turn + 8) % 8).sort((a, b) => a - b);
        expect(passed).toEqual([0, 1, 2, 3, 4, 5]);
      },
      // A turn takes a year, so none passes meanwhile.
      { schema: 'ring', retentionMs: 2 * 365 * 86_400_000 },
    ));

  it('says resync instead of telling more than is good', () =>
    withStore(
      async (store) => {
        const { cursor } = await store.changes(undefined);
        await store.merge(one('a'));
        await server.sql(`UPDATE big.feed SET size = ${CHANGES_MAX}`);
        expect(await names(store, cursor)).toEqual(['a']);
        await store.merge(one('b'));
        const { resync, slots } = await store.changes(cursor);
        expect([resync, slots]).toEqual([true, []]);
      },
      { schema: 'big' },
    ));

  it('finds changes by the index, in a table that was never analyzed', () =>
    withStore(
      async (store) => {
        for (let i = 0; i < 50; i++) await store.merge(one(`${i}`));
        const client = await server.connect();
        await client.query('BEGIN; SET LOCAL enable_seqscan = off');
        const values = ['', '', '0', '1', ['1'], randomId()];
        const { rows } = await client.query(`EXPLAIN (FORMAT JSON) ${changes('"index"')}`, values);
        await client.end();
        const plan = JSON.stringify(rows);
        expect(plan).toContain('feed_5_xid_idx');
        expect(plan).not.toMatch(/"Seq Scan"[^{}]*"Relation Name":"(feed|cut|slot)/);
      },
      { schema: 'index' },
    ));

  it('loses nothing and deadlocks never when merges and cuts of the same counters meet', () =>
    withStore(async (store) => {
      const prefix = randomId();
      const counters = Array.from({ length: 200 }, (_, i) => `${prefix}:${i}`);
      const follower = await store.changes(undefined);
      const replicas = [randomId(), randomId()];
      // Two connections assert each replica's slots, as its owner and its heir might, in opposite orders.
      const writers = [...replicas, ...replicas].map((replica, w) =>
        withStore(async (own) => {
          for (let version = 1n; version <= 20n; version++) {
            const slots = counters.map((name): NamedSlot => ({ name, replica, version, net: version * 7n }));
            await own.merge({ slots: w < 2 ? slots : slots.reverse(), cuts: [] });
          }
        }),
      );
      let isWriting = true;
      const done = Promise.all(writers).finally(() => {
        isWriting = false;
      });
      const cutters = [counters, counters.toReversed()].map((order) =>
        withStore(async (own) => {
          while (isWriting) {
            const states = await own.read(order);
            await own.cut(
              order.map((name, i) => {
                const { slots, cut } = states[i] ?? { slots: new Map(), cut: noCut() };
                return { name, expectedVersion: cut.version, next: fold(slots, cut, 'x') };
              }),
            );
          }
        }),
      );
      await Promise.all([done, ...cutters]);
      const states = await store.read(counters);
      expect(states.map(({ slots, cut }) => total(slots, cut))).toEqual(counters.map(() => 2n * 20n * 7n));
      expect(states.every(({ cut }) => cut.version > 1n)).toBe(true);
      expect((await names(store, follower.cursor)).length).toBe(counters.length);
      const [{ deadlocks }] = await server.sql<{ deadlocks: string }>(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'",
      );
      expect(deadlocks).toBe('0');
    }));
});
