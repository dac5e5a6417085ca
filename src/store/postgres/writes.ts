/**
 * The statements that write. Each is one statement and so one transaction: the change and its row in the feed become
 * visible together. Locks are taken in one order everywhere, so that nobody waits in a circle: first cuts by name, then
 * slots by name and replica. (What merges takes slots in one transaction and cuts in another.)
 */
import { turnAt } from './feed.ts';

/**
 * Keeps the newer of every slot. One that the cut has folded is left out: it counts nothing, and nobody would drop it. If
 * the cut comes at this very moment it may stay in the table after all, which does no harm. The version is asked for by a
 * subquery, row by row: a join would let the planner read all cuts.
 * Parameters: `slotArrays`.
 */
export const mergeSlots = (schema: string): string => `
  WITH given AS (
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::bigint[], $4::bigint[]) AS given (name, replica, version, net)
  ), merged AS (
    INSERT INTO ${schema}.slot AS held (name, replica, version, net)
    SELECT name, replica, version, net FROM given
    WHERE version > coalesce((
      SELECT (cut.folded -> given.replica::text ->> 0)::bigint FROM ${schema}.cut WHERE cut.name = given.name
    ), 0)
    ORDER BY name, replica
    ON CONFLICT (name, replica) DO UPDATE SET version = excluded.version, net = excluded.net, updated_at = now()
    WHERE excluded.version > held.version
    RETURNING name, replica, version, net
  )
  INSERT INTO ${schema}.feed (turn, size, names, replicas, versions, nets)
  SELECT ${turnAt(schema)}, count(*), array_agg(name), array_agg(replica), array_agg(version), array_agg(net)
  FROM merged HAVING count(*) > 0`;

/** Keeps the newer of every cut: by version, then author. Parameters: `cutArrays`. */
export const mergeCuts = (schema: string): string =>
  putCuts(schema, 'true', '(excluded.version, excluded.author) > (held.version, held.author)');

/** Makes the cuts that follow the ones that are there. Parameters: `cutArrays`. Answers the names of the cuts made. */
export const makeCuts = (schema: string): string =>
  putCuts(
    schema,
    `version = 1 OR EXISTS (SELECT FROM ${schema}.cut WHERE cut.name = given.name)`,
    'held.version = excluded.version - 1',
  );

/** Puts cuts, and drops the slots that they have folded. These are locked in order first: a DELETE has none. */
const putCuts = (schema: string, isPossible: string, isWanted: string): string => `
  WITH given AS (
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::numeric[], $5::jsonb[], $6::boolean[])
      AS given (name, version, author, base, folded, is_deleted)
  ), made AS (
    INSERT INTO ${schema}.cut AS held (name, version, author, base, folded, is_deleted)
    SELECT name, version, author, base, folded, is_deleted FROM given WHERE ${isPossible} ORDER BY name
    ON CONFLICT (name) DO UPDATE SET
      version = excluded.version, author = excluded.author, base = excluded.base, folded = excluded.folded,
      is_deleted = excluded.is_deleted, updated_at = now()
    WHERE ${isWanted}
    RETURNING name, folded
  ), folded AS (
    SELECT slot.name, slot.replica FROM made JOIN ${schema}.slot ON slot.name = made.name
    WHERE slot.version <= (made.folded -> slot.replica::text ->> 0)::bigint
    ORDER BY slot.name, slot.replica FOR UPDATE OF slot
  ), dropped AS (
    DELETE FROM ${schema}.slot USING folded WHERE slot.name = folded.name AND slot.replica = folded.replica
  ), told AS (
    INSERT INTO ${schema}.feed (turn, size, cut_names)
    SELECT ${turnAt(schema)}, count(*), array_agg(name) FROM made HAVING count(*) > 0
  )
  SELECT name FROM made`;

/** Parameters: replica, expected version, document. Answers a row if the lease was made. */
export const swapLease = (schema: string): string => `
  INSERT INTO ${schema}.lease AS held (replica, version, document)
  SELECT $1::uuid, $2::bigint + 1, $3::text
  WHERE $2::bigint = 0 OR EXISTS (SELECT FROM ${schema}.lease WHERE lease.replica = $1::uuid)
  ON CONFLICT (replica) DO UPDATE SET version = excluded.version, document = excluded.document, updated_at = now()
  WHERE held.version = excluded.version - 1
  RETURNING version`;
