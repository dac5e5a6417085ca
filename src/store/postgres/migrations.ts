/**
 * The tables, as numbered append-only steps: a released step is never changed.
 *
 * - `slot`: one row per replica and counter. Only its primary key is indexed and pages are filled to 70 %, so that an
 *   update stays on its page and touches no index (a HOT update), which is what nearly all writes are.
 * - `cut`: one row per counter that was ever reset, set, deleted or folded. `folded` is an object of replica to
 *   `[version, net]`, both decimal strings, because most JSON readers parse numbers as doubles.
 * - `feed`: one row per call that changed something, with the slots as they became and the names of the cuts. `xid` is
 *   the transaction that wrote it; `feed.ts` says how it is read.
 * - The feed is a ring of partitions: a row goes to the one whose turn it is, and the ones whose turn is next are
 *   truncated beforehand. So nothing is deleted row by row, no table is made or dropped while the store is in use, and
 *   no lock is ever taken on the feed as a whole. If truncating fails for days, old rows stay, which is harmless.
 * - `Counter`: the counters as people expect them in SQL. It must work for any stored data: a value outside of 64 bits
 *   is NULL, and a name that SQL cannot hold as text (one with a NUL) is shown as bytea writes it.
 */

export interface Migration {
  readonly version: number;
  /** The statements, for tables in this (quoted) schema. */
  readonly statements: (schema: string) => readonly string[];
}

/** Partitions of the feed. Few, because every query of it is planned for all of them. */
export const FEED_PARTITIONS = 8;
/** This many of them are empty: their turn is next. */
export const FEED_PARTITIONS_AHEAD = 2;
/**
 * A cursor is served for this many turns: less than half of what is kept, so a transaction may stay open for as long
 * again.
 */
export const FEED_PERIODS_SERVED = 2;

export const migrations: readonly Migration[] = [
  { version: 1, statements: (schema) => [...tables(schema), ...feed(schema), counterView(schema)] },
];

const tables = (schema: string): string[] => [
  `CREATE TABLE ${schema}.meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id text NOT NULL,
    feed_period_ms bigint NOT NULL CHECK (feed_period_ms > 0)
  )`,
  `CREATE TABLE ${schema}.slot (
    name bytea NOT NULL,
    replica uuid NOT NULL,
    version bigint NOT NULL,
    net bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, replica)
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE ${schema}.cut (
    name bytea PRIMARY KEY,
    version bigint NOT NULL,
    author text COLLATE "C" NOT NULL,
    base numeric NOT NULL,
    folded jsonb NOT NULL,
    is_deleted boolean NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE ${schema}.lease (
    replica uuid PRIMARY KEY,
    version bigint NOT NULL,
    document text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 70)`,
];

const feed = (schema: string): string[] => [
  `CREATE TABLE ${schema}.feed (
    turn smallint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    size integer NOT NULL,
    names bytea[] NOT NULL DEFAULT '{}',
    replicas uuid[] NOT NULL DEFAULT '{}',
    versions bigint[] NOT NULL DEFAULT '{}',
    nets bigint[] NOT NULL DEFAULT '{}',
    cut_names bytea[] NOT NULL DEFAULT '{}'
  ) PARTITION BY LIST (turn)`,
  // Rows are only inserted, and truncated all at once: there is nothing to vacuum.
  ...Array.from(
    { length: FEED_PARTITIONS },
    (_, turn) => `CREATE TABLE ${schema}.feed_${turn} PARTITION OF ${schema}.feed FOR VALUES IN (${turn})
      WITH (autovacuum_enabled = false)`,
  ),
  `CREATE INDEX feed_xid ON ${schema}.feed (xid)`,
];

const counterView = (schema: string): string => `
  CREATE VIEW ${schema}."Counter" AS
  SELECT
    (CASE WHEN position(decode('00', 'hex') IN name) > 0 THEN encode(name, 'escape') ELSE convert_from(name, 'UTF8') END)
      ::varchar(255) AS counter_id,
    CASE WHEN value BETWEEN -9223372036854775808 AND 9223372036854775807 THEN value::bigint END AS current_value,
    updated_at AT TIME ZONE 'UTC' AS updated_at
  FROM (
    SELECT
      coalesce(cut.name, since.name) AS name,
      coalesce(cut.base, 0) + coalesce(since.added, 0) AS value,
      greatest(cut.updated_at, since.updated_at) AS updated_at
    FROM ${schema}.cut
    FULL JOIN (
      SELECT
        slot.name,
        sum(slot.net - coalesce((cut.folded -> slot.replica::text ->> 1)::numeric, 0)) AS added,
        max(slot.updated_at) AS updated_at,
        bool_or(cut.folded -> slot.replica::text IS NULL
          OR slot.net <> (cut.folded -> slot.replica::text ->> 1)::numeric) AS is_counted
      FROM ${schema}.slot
      LEFT JOIN ${schema}.cut ON cut.name = slot.name
      WHERE slot.version > coalesce((cut.folded -> slot.replica::text ->> 0)::bigint, 0)
      GROUP BY slot.name
    ) since ON since.name = cut.name
    WHERE coalesce(since.is_counted, false) OR NOT coalesce(cut.is_deleted, false)
  ) counter`;
