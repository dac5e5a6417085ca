/**
 * The statements that write. Each is one statement and so one transaction: the change and its row in the feed become
 * visible together. Locks are taken in one order everywhere, so that deadlocks cannot occur: first cuts by name, then
 * slots by name and replica. (What merges takes slots in one transaction and cuts in another.)
 */
import { turnAt } from './feed.ts';

const UUID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

/**
 * Text as a bigint, NULL if it is not one: the tables are input, and one damaged row must not fail a statement for all.
 */
const int8 = (text: string): string => `
  CASE WHEN ${text} ~ '^-?[0-9]{1,19}$' THEN
    CASE WHEN (${text})::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN (${text})::bigint END
  END`;

const object = (json: string): string => `CASE jsonb_typeof(${json}) WHEN 'object' THEN ${json} ELSE '{}' END`;

/**
 * Whether a cut replaces another one: by version, then author; a whole one replaces the same one if that is damaged.
 */
const isNewer = (cut: string, other: string): string => `(
  (${cut}.version, ${cut}.author) > (${other}.version, ${other}.author)
  OR (${cut}.version, ${cut}.author) = (${other}.version, ${other}.author) AND (
    jsonb_typeof(${other}.folded) <> 'object' OR ${other}.base::text !~ '^-?[0-9]{1,40}$'
    OR EXISTS (
      SELECT FROM jsonb_each(${object(`${other}.folded`)})
      WHERE key !~ '${UUID}' OR ${int8('value ->> 0')} IS NULL OR ${int8('value ->> 1')} IS NULL
    )
  ))`;

/**
 * Keeps the newer of every slot. A slot that the cut has folded is left out: it counts nothing, and nothing would drop
 * it later. If the cut is written at the same moment the slot may stay in the table, which is harmless. The version
 * comes from a subquery, row by row: with a join the planner could read all cuts. Parameters: `slotArrays`.
 */
export const mergeSlots = (schema: string): string => `
  WITH given AS (
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::bigint[], $4::bigint[]) AS given (name, replica, version, net)
  ), merged AS (
    INSERT INTO ${schema}.slot AS held (name, replica, version, net)
    SELECT name, replica, version, net FROM given
    WHERE version > coalesce((
      SELECT ${int8('cut.folded -> given.replica::text ->> 0')} FROM ${schema}.cut WHERE cut.name = given.name
    ), 0)
    ORDER BY name, replica
    ON CONFLICT (name, replica) DO UPDATE SET version = excluded.version, net = excluded.net, updated_at = now()
    WHERE (excluded.version, excluded.net) > (held.version, held.net)
    RETURNING name, replica, version, net
  )
  INSERT INTO ${schema}.feed (turn, size, names, replicas, versions, nets)
  SELECT ${turnAt(schema)}, count(*), array_agg(name), array_agg(replica), array_agg(version), array_agg(net)
  FROM merged HAVING count(*) > 0`;

/**
 * Keeps the newer of every cut: by version, then author. Parameters: `cutArrays`. Returns the names whose cut was
 * inserted while this statement ran: run it again for these.
 */
export const mergeCuts = (schema: string): string =>
  putCuts(schema, {
    isPossible: 'true',
    isWanted: isNewer('excluded', 'held'),
    isTaken: isNewer('given', 'before'),
    answer: `SELECT name FROM given
      WHERE NOT EXISTS (SELECT FROM before WHERE before.name = given.name)
        AND NOT EXISTS (SELECT FROM made WHERE made.name = given.name)`,
  });

/**
 * Writes the cuts whose expected version is current. Parameters: `requestArrays`. Answers the names of the cuts made.
 */
export const makeCuts = (schema: string): string =>
  putCuts(schema, {
    expected: ', $7::bigint[]',
    isPossible: 'coalesce(before.version, 0) = given.expected',
    isWanted: 'true',
    isTaken: 'true',
    onlyWhere: 'AND before.version = given.expected',
    answer: 'SELECT name FROM made',
  });

interface Putting {
  /** One more parameter: per cut the version of the one that it replaces. */
  readonly expected?: string;
  /** Whether a cut can replace the previous one, or none. */
  readonly isPossible: string;
  /** Whether it replaces the one that is held; the same of those that were there before. */
  readonly isWanted: string;
  readonly isTaken: string;
  /** Which pairs of a given cut and the previous one match; all by default. */
  readonly onlyWhere?: string;
  readonly answer: string;
}

/**
 * Writes cuts, drops the slots that they have folded, and restores slots that the losing cut had folded and the winner
 * had not. Existing cuts are locked first, so that they do not change; a cut inserted meanwhile is not replaced. Slots
 * are locked in order, too: a DELETE has none.
 */
const putCuts = (
  schema: string,
  { expected, isPossible, isWanted, isTaken, onlyWhere = '', answer }: Putting,
): string => `
  WITH given AS (
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::numeric[], $5::jsonb[], $6::boolean[]${expected ?? ''})
      AS given (name, version, author, base, folded, is_deleted${expected === undefined ? '' : ', expected'})
  ), before AS MATERIALIZED (
    SELECT name, version, author, base, folded FROM ${schema}.cut WHERE name = ANY ($1::bytea[])
    ORDER BY name FOR NO KEY UPDATE
  ), made AS (
    INSERT INTO ${schema}.cut AS held (name, version, author, base, folded, is_deleted)
    SELECT given.name, given.version, given.author, given.base, given.folded, given.is_deleted
    FROM given LEFT JOIN before ON before.name = given.name WHERE ${isPossible} ORDER BY given.name
    ON CONFLICT (name) DO UPDATE SET
      version = excluded.version, author = excluded.author, base = excluded.base, folded = excluded.folded,
      is_deleted = excluded.is_deleted, updated_at = now()
    WHERE ${isWanted} AND EXISTS (SELECT FROM before WHERE before.name = held.name)
    RETURNING name, folded
  ), pair AS (
    SELECT given.name,
      CASE WHEN ${isTaken} THEN before.folded ELSE given.folded END AS loser,
      CASE WHEN ${isTaken} THEN given.folded ELSE before.folded END AS winner
    FROM given JOIN before ON before.name = given.name ${onlyWhere}
  ), back AS MATERIALIZED (
    SELECT pair.name, entry.replica, entry.version, entry.net
    FROM pair, LATERAL (
      SELECT key, CASE WHEN key ~ '${UUID}' THEN key::uuid END AS replica,
        ${int8('value ->> 0')} AS version, ${int8('value ->> 1')} AS net
      FROM jsonb_each(${object('pair.loser')})
    ) AS entry
    WHERE entry.replica IS NOT NULL AND entry.net IS NOT NULL
      AND entry.version > coalesce(${int8('pair.winner -> entry.key ->> 0')}, 0)
  ), folded AS (
    SELECT slot.name, slot.replica FROM made JOIN ${schema}.slot ON slot.name = made.name
    WHERE slot.version <= ${int8('made.folded -> slot.replica::text ->> 0')}
      AND NOT EXISTS (SELECT FROM back WHERE back.name = slot.name AND back.replica = slot.replica)
    ORDER BY slot.name, slot.replica FOR UPDATE OF slot
  ), dropped AS (
    DELETE FROM ${schema}.slot USING folded WHERE slot.name = folded.name AND slot.replica = folded.replica
  ), returned AS (
    INSERT INTO ${schema}.slot AS held (name, replica, version, net)
    SELECT name, replica, version, net FROM back ORDER BY name, replica
    ON CONFLICT (name, replica) DO UPDATE SET version = excluded.version, net = excluded.net, updated_at = now()
    WHERE (excluded.version, excluded.net) > (held.version, held.net)
    RETURNING name, replica, version, net
  ), told AS (
    INSERT INTO ${schema}.feed (turn, size, cut_names)
    SELECT ${turnAt(schema)}, count(*), array_agg(name) FROM made HAVING count(*) > 0
  ), told_of_slots AS (
    INSERT INTO ${schema}.feed (turn, size, names, replicas, versions, nets)
    SELECT ${turnAt(schema)}, count(*), array_agg(name), array_agg(replica), array_agg(version), array_agg(net)
    FROM returned HAVING count(*) > 0
  )
  ${answer}`;

/** Parameters: replica, expected version, document. Returns a row if the lease was written. */
export const swapLease = (schema: string): string => `
  INSERT INTO ${schema}.lease AS held (replica, version, document)
  SELECT $1::uuid, $2::bigint + 1, $3::text
  WHERE $2::bigint = 0 OR EXISTS (SELECT FROM ${schema}.lease WHERE lease.replica = $1::uuid)
  ON CONFLICT (replica) DO UPDATE SET version = excluded.version, document = excluded.document, updated_at = now()
  WHERE held.version = excluded.version - 1
  RETURNING version`;
