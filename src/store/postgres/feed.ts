/** The statements of the feed: reading changes, and making room for new ones. `migrations.ts` describes its table. */
import { FEED_PARTITIONS, FEED_PARTITIONS_AHEAD, FEED_PERIODS_SERVED } from './migrations.ts';
import { CUT_COLUMNS, SLOT_COLUMNS, type StateRow } from './rows.ts';

/**
 * More changes than this are not returned one by one: they must arrive within a call's deadline, and rereading the held
 * counters is cheaper by then. Rows of the feed; slots and cuts in them.
 */
const ROWS_MAX = 20_000;
export const CHANGES_MAX = 100_000;

/** The state of the store as `changes` found it; a row of its own. */
export interface Present {
  readonly id: string;
  readonly term: string;
  readonly atMs: string;
  readonly snapshot: string;
  readonly periodMs: number;
  /** The other rows are all the changes. */
  readonly isComplete: boolean;
}

export type ChangeRow = (StateRow & { readonly present: null }) | { readonly present: Present };

/**
 * The server's start time in µs, and the files of the tables. Any loss of confirmed data comes with another server
 * process (a failover to a lagging standby, a restored disk or base backup) or with other files (a dump loaded in place
 * of the tables or into them). A restart without a loss also changes them; the replicas find out by their leases
 * whether anything was lost.
 */
export const term = (schema: string): string => `(
  (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
    ${['slot', 'cut', 'lease'].map((table) => `|| '-' || pg_relation_filenode('${schema}.${table}'::regclass)`).join(' ')}
)`;

const NOW_MS = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

/** The partition of the feed whose turn it is. */
export const turnAt = (schema: string): string =>
  `(SELECT ${NOW_MS} / feed_period_ms % ${FEED_PARTITIONS} FROM ${schema}.meta)`;

/**
 * Everything committed after the cursor's snapshot and before this statement's, which is the next cursor: so nothing is
 * missed between two calls. The time is the statement's start, before its snapshot. Cuts are read as they are now.
 * Parameters: the cursor's id, term, atMs, xmax, inProgress; and whose slots are left out.
 */
export const changes = (schema: string): string => `
  WITH present AS MATERIALIZED (
    SELECT id, ${term(schema)} AS term, (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS at_ms,
      pg_current_snapshot() AS snapshot, feed_period_ms AS period_ms
    FROM ${schema}.meta
  ), served AS MATERIALIZED (
    SELECT FROM present
    WHERE id = $1::text AND term = $2::text AND $4::xid8 <= pg_snapshot_xmax(snapshot)
      AND $3::bigint BETWEEN at_ms - period_ms * ${FEED_PERIODS_SERVED} AND at_ms
  ), since AS MATERIALIZED (
    SELECT size, names, replicas, versions, nets, cut_names FROM ${schema}.feed
    WHERE (SELECT count(*) FROM served) = 1 AND (xid >= $4::xid8 OR xid = ANY ($5::xid8[]))
    LIMIT ${ROWS_MAX + 1}
  ), told AS MATERIALIZED (
    SELECT (SELECT count(*) FROM served) = 1 AND count(*) <= ${ROWS_MAX}
      AND coalesce(sum(size), 0) <= ${CHANGES_MAX} AS is_complete
    FROM since
  ), slot AS (
    SELECT slot.* FROM since, unnest(names, replicas, versions, nets) AS slot (name, replica, version, net)
    WHERE (SELECT is_complete FROM told) AND slot.replica <> $6::uuid
  ), cut AS (
    SELECT * FROM ${schema}.cut
    WHERE name = ANY (ARRAY(SELECT unnest(cut_names) FROM since WHERE (SELECT is_complete FROM told)))
  )
  SELECT NULL::json AS present, ${SLOT_COLUMNS} FROM slot
  UNION ALL
  SELECT NULL::json, ${CUT_COLUMNS} FROM cut
  UNION ALL
  SELECT json_build_object('id', id, 'term', term, 'atMs', at_ms::text, 'snapshot', snapshot::text,
    'periodMs', period_ms, 'isComplete', is_complete), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM present, told`;

/**
 * Empties one partition whose turn is next; any node may do it at any time, even several at once. Only one at a time,
 * and only if it can be locked at once, because others would queue behind a waiting lock. Which partitions are next is
 * checked again under the lock.
 */
export const makeRoom = (schema: string): string => `
  DO $$
  DECLARE
    partition regclass;
  BEGIN
    PERFORM set_config('lock_timeout', '100', true);
    FOR ahead IN 1..${FEED_PARTITIONS_AHEAD} LOOP
      partition := ${partitionAhead(schema)};
      IF pg_relation_size(partition) > 0 THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', partition);
        IF partition = ${partitionAhead(schema)} THEN
          EXECUTE format('TRUNCATE %s', partition);
        END IF;
        RETURN;
      END IF;
    END LOOP;
  END $$`;

const partitionAhead = (schema: string): string =>
  `(SELECT to_regclass(format('%s_%s', '${schema}.feed', (${NOW_MS} / feed_period_ms + ahead) % ${FEED_PARTITIONS})) ` +
  `FROM ${schema}.meta)`;
