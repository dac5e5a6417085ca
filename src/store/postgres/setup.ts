/** Checks the server, creates or migrates the tables, and refuses a server that would lose confirmed data. */
import { StoreError, type StoreIdentity, StoreRefusal } from '../slot-store.ts';
import type { Connections, Send, TimeLimit } from './connections.ts';
import { PostgresError } from './failure.ts';
import { term } from './feed.ts';
import { FEED_PERIODS_SERVED, type Migration, migrations as released } from './migrations.ts';

/** xid8 and pg_current_snapshot came with it. */
const SERVER_VERSION_MIN = 13;

/** What the store does with its tables. */
const RIGHTS: readonly (readonly [table: string, ...rights: string[]])[] = [
  ['meta', 'SELECT'],
  ['slot', 'SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  ['cut', 'SELECT', 'INSERT', 'UPDATE'],
  ['lease', 'SELECT', 'INSERT', 'UPDATE'],
  ['feed', 'SELECT', 'INSERT'],
  ['feed_0', 'TRUNCATE'],
];

export interface SetupOptions {
  /** Quoted. */
  readonly schema: string;
  /** How long a cursor is served. Used when the tables are created; later nodes use the stored value. */
  readonly retentionMs: number;
  /** The store that this node met before: its tables must exist. */
  readonly expected?: string | undefined;
  /** For tests: the known migration steps. */
  readonly migrations?: readonly Migration[];
}

/** @throws StoreRefusal with a sentence that says what to do. */
export async function setUp(
  connections: Connections,
  timeLimit: TimeLimit,
  options: SetupOptions,
): Promise<StoreIdentity> {
  const { schema, migrations = released } = options;
  const send: Send = (text, values) => connections.runAnywhere(text, values, timeLimit);
  try {
    const isMade = await inspect(send, schema);
    if (!isMade && options.expected !== undefined) {
      throw new StoreRefusal(
        `there is no schema ${schema} in this database, and this data directory belongs to another store, which has one: ` +
          'name that one in --store, or restore its backup',
      );
    }
    const version = isMade ? await versionOf(send, schema) : 0;
    if (isMade && version === 0 && options.expected !== undefined) {
      throw new StoreError(`the tables in ${schema} are not complete: a backup is being loaded`);
    }
    if (version !== latest(migrations)) {
      await connections.transaction((within) => migrate(within, options), timeLimit);
    }
    await checkRights(send, schema);
    const [identity] = await send<StoreIdentity>(`SELECT id, ${term(schema)} AS term FROM ${schema}.meta`);
    if (identity === undefined) throw new StoreRefusal(`${schema}.meta is empty: restore its row from a backup`);
    return { id: identity.id, term: identity.term };
  } catch (error) {
    if (!(error instanceof PostgresError && error.isForPeople)) throw error;
    throw new StoreRefusal(
      `${error.message}: check user, password and database in the URL, and that the user may CREATE in the database ` +
        `or owns the schema ${schema}`,
    );
  }
}

/** Whether there are tables. */
async function inspect(send: Send, schema: string): Promise<boolean> {
  const [server] = await send<{ version: number; fsync: string; encoding: string; is_made: boolean }>(
    `SELECT current_setting('server_version_num')::integer / 10000 AS version, current_setting('fsync') AS fsync,
       current_setting('server_encoding') AS encoding, to_regclass($1) IS NOT NULL AS is_made`,
    [`${schema}.migration`],
  );
  if (server === undefined) throw new StoreRefusal('PostgreSQL does not tell its settings: connect to a PostgreSQL');
  if (server.version < SERVER_VERSION_MIN) {
    throw new StoreRefusal(`PostgreSQL ${server.version} is too old: use ${SERVER_VERSION_MIN} or newer`);
  }
  if (server.fsync !== 'on')
    throw new StoreRefusal('PostgreSQL runs with fsync = off and may lose everything: turn it on');
  if (server.encoding !== 'UTF8') {
    throw new StoreRefusal(`the database is encoded as ${server.encoding}: make one with ENCODING 'UTF8'`);
  }
  return server.is_made;
}

/** Runs all missing steps in one transaction; other nodes that start at the same time wait and then find them done. */
async function migrate(send: Send, { schema, retentionMs, migrations = released }: SetupOptions): Promise<void> {
  await send('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`tallyd migrations of ${schema}`]);
  // CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it exists.
  const [found] = await send<{ has_schema: boolean }>('SELECT to_regnamespace($1) IS NOT NULL AS has_schema', [schema]);
  if (!found?.has_schema) await send(`CREATE SCHEMA ${schema}`);
  await send(
    `CREATE TABLE IF NOT EXISTS ${schema}.migration
       (version integer PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now())`,
  );
  const version = await versionOf(send, schema);
  const known = latest(migrations);
  if (version > known) {
    throw new StoreRefusal(
      `the tables in ${schema} have version ${version}, made by a newer Tallyd; this one knows ${known}: update it`,
    );
  }
  for (const migration of migrations.filter((each) => each.version > version)) {
    for (const statement of migration.statements(schema)) await send(statement);
    await send(`INSERT INTO ${schema}.migration (version) VALUES ($1)`, [migration.version]);
  }
  // Tables that are there have their row, or get it from a backup that is being loaded and has no keys yet.
  if (version > 0) return;
  await send(`INSERT INTO ${schema}.meta (id, feed_period_ms) VALUES (replace(gen_random_uuid()::text, '-', ''), $1)`, [
    Math.ceil(retentionMs / FEED_PERIODS_SERVED),
  ]);
}

function latest(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.version ?? 0;
}

async function versionOf(send: Send, schema: string): Promise<number> {
  const [row] = await send<{ version: number | null }>(`SELECT max(version) AS version FROM ${schema}.migration`);
  return row?.version ?? 0;
}

async function checkRights(send: Send, schema: string): Promise<void> {
  const wanted = RIGHTS.flatMap(([table, ...rights]) => rights.map((right) => `('${table}', '${right}')`));
  const missing = await send<{ right_on: string }>(
    `SELECT wanted.right || ' on ' || wanted.table AS right_on
     FROM (VALUES ${wanted.join()}) AS wanted ("table", "right")
     WHERE NOT has_table_privilege('${schema}.' || wanted.table, wanted.right)`,
  );
  if (missing.length === 0) return;
  throw new StoreRefusal(
    `the user of the PostgreSQL store lacks rights in ${schema}: grant it ${missing.map((row) => row.right_on).join(', ')}`,
  );
}
