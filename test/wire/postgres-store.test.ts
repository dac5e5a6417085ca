// The slot store in PostgreSQL, against a real server: directly, and behind a pooler that keeps no session.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INT64_MAX, INT64_MIN } from '../../src/counter/int64.ts';
import { fold, noCut, remove, reset } from '../../src/crdt/cut.ts';
import { slotStoreChecks } from '../../src/store/conformance.ts';
import { type PostgresOptions, PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { PAGE_SLOTS } from '../../src/store/postgres/reads.ts';
import { type NamedSlot, StoreRefusal } from '../../src/store/slot-store.ts';
import { lacks } from '../programs.ts';
import { freePort } from './free-port.ts';
import { PASSWORD, PgbouncerProcess, PostgresProcess } from './postgres-process.ts';

const randomId = (): string => randomBytes(16).toString('hex');
const named = (name: string, replica: string, version: bigint, net: bigint): NamedSlot => ({
  name,
  replica,
  version,
  net,
});

describe.skipIf(lacks('initdb'))('the slot store in PostgreSQL', () => {
  let root: string;
  let server: PostgresProcess;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-postgres-'));
    server = await PostgresProcess.start(root);
  });

  afterAll(async () => {
    await server.stop();
    await rm(root, { recursive: true, force: true });
  });

  const nothing = async (): Promise<PostgresStore> =>
    PostgresStore.open({ url: `postgres://127.0.0.1:${await freePort()}/nothing`, callMs: 1_000 });

  async function withStore<T>(
    run: (store: PostgresStore) => Promise<T>,
    options: Partial<PostgresOptions> = {},
  ): Promise<T> {
    const store = await PostgresStore.open({ url: server.url(), ...options });
    try {
      return await run(store);
    } finally {
      await store.close();
    }
  }

  const identity = (options: Partial<PostgresOptions> = {}) => withStore((store) => store.identity(), options);

  describe('directly', () => {
    const bench = { connect: () => PostgresStore.open({ url: server.url() }), connectToNothing: nothing, randomId };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
  });

  describe.skipIf(lacks('pgbouncer'))('behind a pooler of transactions', () => {
    let pooler: PgbouncerProcess;
    beforeAll(async () => {
      pooler = await PgbouncerProcess.start(root, server);
    });
    afterAll(() => pooler.stop());

    const bench = {
      connect: () => PostgresStore.open({ url: pooler.url(), schema: 'pooled' }),
      connectToNothing: nothing,
      randomId,
    };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));

    it('leaves no setting and no lock to whom the connection is given next', async () => {
      await withStore((store) => store.merge({ slots: [named('a', randomId(), 1n, 1n)], cuts: [] }), {
        url: pooler.url(),
        schema: 'pooled',
      });
      const client = await pooler.connect();
      const { rows } = await client.query(
        `SELECT name FROM pg_settings WHERE source = 'session' AND name NOT IN ('client_encoding', 'application_name')
         UNION ALL SELECT locktype FROM pg_locks WHERE locktype = 'advisory'
         UNION ALL SELECT name FROM pg_prepared_statements`,
      );
      await client.end();
      expect(rows).toEqual([]);
    });
  });

  describe('as a user whose settings are odd', () => {
    beforeAll(async () => {
      await server.sql(`CREATE ROLE odd LOGIN PASSWORD '${PASSWORD}'`);
      await server.sql('CREATE SCHEMA odd AUTHORIZATION odd');
      for (const setting of [
        "default_transaction_isolation = 'serializable'",
        'default_transaction_read_only = on',
        "search_path = 'nowhere'",
        "bytea_output = 'escape'",
        'standard_conforming_strings = off',
        'backslash_quote = off',
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'German'",
        'synchronous_commit = off',
      ]) {
        await server.sql(`ALTER ROLE odd SET ${setting}`);
      }
    });

    const bench = {
      connect: () => PostgresStore.open({ url: server.url({ user: 'odd' }), schema: 'odd' }),
      connectToNothing: nothing,
      randomId,
    };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
  });

  describe('sets itself up', () => {
    it('once, whoever comes at the same time, and again without harm', async () => {
      const all = await Promise.all(Array.from({ length: 6 }, () => identity({ schema: 'many' })));
      expect(new Set(all.map(({ id }) => id)).size).toBe(1);
      expect(await identity({ schema: 'many' })).toEqual(all[0]);
      expect(await server.sql('SELECT version FROM many.migration')).toEqual([{ version: 1 }]);
    });

    it('not in tables that a newer Tallyd made', async () => {
      await identity({ schema: 'newer' });
      await server.sql('INSERT INTO newer.migration (version) VALUES (1000)');
      await expect(identity({ schema: 'newer' })).rejects.toThrow(StoreRefusal);
      await expect(identity({ schema: 'newer' })).rejects.toThrow(/version 1000.*update it/);
    });

    it('that is being loaded from a backup is waited for, and gets no second row', async () => {
      const { id } = await identity({ schema: 'loading' });
      // So it is while a dump has filled the tables, but that of the versions, and made no keys yet.
      await server.sql('ALTER TABLE loading.meta DROP CONSTRAINT meta_pkey; DELETE FROM loading.migration');
      await withStore(
        async (store) => {
          await expect(store.identity(id)).rejects.toThrow(/a backup is being loaded/);
          await expect(store.identity(id)).rejects.not.toThrow(StoreRefusal);
        },
        { schema: 'loading' },
      );
      expect(await server.sql('SELECT id FROM loading.meta')).toEqual([{ id }]);
    });

    it('without the right to create, in a schema that is there with its rights, and says which are missing', async () => {
      await server.sql(`CREATE ROLE weak LOGIN PASSWORD '${PASSWORD}'`);
      const weak = { url: server.url({ user: 'weak' }), schema: 'granted' };
      await expect(identity(weak)).rejects.toThrow(StoreRefusal);
      await expect(identity(weak)).rejects.toThrow(/permission denied for database.*CREATE/);
      await identity({ schema: 'granted' });
      await expect(identity(weak)).rejects.toThrow(/permission denied for schema/);
      await server.sql('GRANT USAGE ON SCHEMA granted TO weak');
      await server.sql('GRANT SELECT ON ALL TABLES IN SCHEMA granted TO weak');
      await expect(identity(weak)).rejects.toThrow(/grant it INSERT on slot, .*TRUNCATE on feed_0/);
      await server.sql('GRANT ALL ON ALL TABLES IN SCHEMA granted TO weak');
      await withStore(async (store) => {
        await store.identity();
        await store.merge({ slots: [named('a', randomId(), 1n, 1n)], cuts: [] });
        await store.changes(undefined);
      }, weak);
      await server.sql('CREATE SCHEMA own AUTHORIZATION weak');
      expect((await identity({ ...weak, schema: 'own' })).id).toHaveLength(32);
    });

    it('not where there is no such database, or one that cannot hold every name', async () => {
      await expect(identity({ url: server.url({ database: 'nowhere' }) })).rejects.toThrow(StoreRefusal);
      await server.sql("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0");
      await expect(identity({ url: server.url({ database: 'narrow' }) })).rejects.toThrow(/LATIN1.*UTF8/);
    });

    it('only with options that make sense', async () => {
      for (const options of [
        { url: 'redis://127.0.0.1' },
        { url: 'postgres://a:b@c:port/d' },
        { url: server.url(), schema: 'Tally"d' },
      ]) {
        await expect(PostgresStore.open(options), JSON.stringify(options)).rejects.toThrow(StoreRefusal);
      }
    });
  });

  it('is refused at once where the URL asks for TLS and the server has none', async () => {
    const url = `${server.url()}?sslmode=verify-full`;
    await expect(identity({ url, callMs: 1_000 })).rejects.toThrow(StoreRefusal);
  });

  it('never shows the password', async () => {
    const errors = await Promise.all(
      [
        server.url().replace(/:\d+\//, ':port/'),
        server.url().replace('127.0.0.1', 'no host'),
        server.url({ user: 'nobody' }),
        server.url({ database: 'nowhere' }),
        `${server.url()}?sslmode=verify-full&sslrootcert=nowhere`,
        `${server.url()}?sslmode=verify-full`,
        server.url().replace(/:\d+\//, `:${await freePort()}/`),
      ].map((url) =>
        identity({ url, callMs: 1_000 }).then(
          () => 'no error',
          (error: unknown) => error,
        ),
      ),
    );
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error);
      const shown = inspect(error, { depth: 20, showHidden: true });
      expect(shown).not.toContain('pa55');
      expect(shown).not.toContain('never-shown');
    }
  });

  it('updates slots in place', async () => {
    await withStore(
      async (store) => {
        await store.identity();
        const replicas = [randomId(), randomId()];
        const slots = replicas.flatMap((replica) =>
          Array.from({ length: 500 }, (_, i) => named(`${i}`, replica, 1n, 1n)),
        );
        for (let version = 1n; version <= 10n; version++) {
          await store.merge({ slots: slots.map((slot) => ({ ...slot, version })), cuts: [] });
        }
      },
      { schema: 'hot' },
    );
    // Told when the connection ends, at the latest.
    const counts = () =>
      server.sql<{ updated: string; hot: string }>(
        `SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot FROM pg_stat_user_tables
         WHERE schemaname = 'hot' AND relname = 'slot'`,
      );
    let [row] = await counts();
    while (Number(row?.updated) < 9_000) [row] = await counts();
    expect(Number(row?.hot)).toBeGreaterThan(4_500);
  });

  it('drops what a merged cut has folded, and does not take it back', () =>
    withStore(async (store) => {
      await store.identity();
      const [name, replica] = [randomId(), randomId()];
      const slot = named(name, replica, 3n, 5n);
      await store.merge({ slots: [slot], cuts: [] });
      await store.merge({ slots: [], cuts: [{ name, cut: fold(new Map([[replica, slot]]), noCut(), 'heir') }] });
      const { cursor } = await store.changes(undefined);
      await store.merge({ slots: [slot], cuts: [] });
      expect((await store.changes(cursor)).slots).toEqual([]);
      const [state] = await store.read([name]);
      expect([state?.slots.size, state?.cut.base]).toEqual([0, 5n]);
    }));

  it('makes cuts of one counter that come in one call one after the other', () =>
    withStore(async (store) => {
      await store.identity();
      const [a, b] = [randomId(), randomId()];
      const first = reset<string>(new Map(), noCut(), 'x', 1n, 0);
      const made = await store.cut([
        { name: a, expectedVersion: 0n, next: first },
        { name: b, expectedVersion: 0n, next: first },
        { name: a, expectedVersion: first.version, next: reset(new Map(), first, 'y', 2n, 1e12) },
        { name: b, expectedVersion: 0n, next: { ...first, base: 2n } },
      ]);
      expect(made).toEqual([true, true, true, false]);
    }));

  it('pages through the slots of a replica, however they lie', () =>
    withStore(
      async (store) => {
        await store.identity();
        const [many, few] = [randomId(), randomId()];
        // Two full pages, so that only a third one finds the end.
        const names = Array.from({ length: PAGE_SLOTS * 2 - 2 }, (_, i) => `${i}`);
        const rare = [named('0', few, 1n, 1n), named('9\0', few, 1n, 2n)];
        await store.merge({ slots: [...names.map((name) => named(name, many, 1n, 1n)), ...rare], cuts: [] });
        for (const [replica, expected] of [
          [many, names],
          [few, ['0', '9\0']],
        ] as const) {
          const found: string[] = [];
          let pages = 0;
          let cursor: string | undefined;
          do {
            const page = await store.slotsOf(replica, cursor);
            found.push(...page.slots.map(({ name }) => name));
            cursor = page.cursor;
            pages++;
          } while (cursor !== undefined);
          expect([found.sort(), pages]).toEqual([[...expected].sort(), 3]);
        }
      },
      { schema: 'paged' },
    ));

  it('shows the counters as a view, whatever they are', () =>
    withStore(
      async (store) => {
        await store.identity();
        const replica = randomId();
        const at = (name: string, version: bigint, net: bigint): NamedSlot => named(name, replica, version, net);
        const slots = ['plain', 'set', 'gone', 'back', 'late', 'nul\0\\ä'].map((name) => at(name, 1n, 5n));
        const wide = [INT64_MAX, 1n].map((net) => named('wide', randomId(), 1n, net));
        const ends = [at('min', 1n, INT64_MIN), at('max', 1n, INT64_MAX), at('ä'.repeat(127), 1n, 7n)];
        await store.merge({ slots: [...slots, ...wide, ...ends], cuts: [] });
        const known = new Map([[replica, { version: 1n, net: 5n }]]);
        const cut = (name: string, next: ReturnType<typeof reset<string>>) => ({ name, expectedVersion: 0n, next });
        await store.cut([
          cut('set', reset(known, noCut(), 'x', 100n, 0)),
          cut('gone', remove(known, noCut(), 'x', 0)),
          cut('back', remove(known, noCut(), 'x', 0)),
          cut('late', fold(known, noCut(), 'x')),
          cut('cut only', reset(new Map(), noCut(), 'x', -3n, 0)),
        ]);
        await store.merge({ slots: [at('set', 2n, 6n), at('back', 2n, 9n), at('late', 2n, 2n)], cuts: [] });
        const shown = await server.sql<{ counter_id: string; current_value: string; updated_at: Date }>(
          'SELECT * FROM viewed."Counter"',
        );
        expect(Object.fromEntries(shown.map((row) => [row.counter_id, row.current_value]))).toEqual({
          plain: '5',
          set: '101',
          back: '4',
          late: '2',
          'cut only': '-3',
          'nul\\000\\\\\\303\\244': '5',
          wide: null,
          min: `${INT64_MIN}`,
          max: `${INT64_MAX}`,
          ['ä'.repeat(127)]: '7',
        });
        const columns = await server.sql(
          `SELECT column_name, data_type, character_maximum_length AS length FROM information_schema.columns
         WHERE table_schema = 'viewed' AND table_name = 'Counter' ORDER BY ordinal_position`,
        );
        expect(columns).toEqual([
          { column_name: 'counter_id', data_type: 'character varying', length: 255 },
          { column_name: 'current_value', data_type: 'bigint', length: null },
          { column_name: 'updated_at', data_type: 'timestamp without time zone', length: null },
        ]);
        expect(shown.every((row) => row.updated_at instanceof Date)).toBe(true);
      },
      { schema: 'viewed' },
    ));
});
