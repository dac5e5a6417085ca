/** The statements that read state. */
import { CUT_COLUMNS, SLOT_COLUMNS } from './rows.ts';

/** Slots that one page scans, of any replica. */
export const PAGE_SLOTS = 5_000;

/** Slots and cuts of these names, in one statement and so at one moment. */
export const readStates = (schema: string): string => `
  SELECT ${SLOT_COLUMNS} FROM ${schema}.slot WHERE name = ANY ($1::bytea[])
  UNION ALL
  SELECT ${CUT_COLUMNS} FROM ${schema}.cut WHERE name = ANY ($1::bytea[])`;

/**
 * Scans the next slots in the order of the primary key: no index is kept only for this. A page may be empty and not be
 * the last. Parameters: replica, and name and replica of the last slot looked at. Answers the replica's slots, and the
 * last one looked at, if more may come, with `is_last`.
 */
export const readPage = (schema: string): string => `
  WITH page AS MATERIALIZED (
    SELECT name, replica, version, net FROM ${schema}.slot WHERE (name, replica) > ($2::bytea, $3::uuid)
    ORDER BY name, replica LIMIT ${PAGE_SLOTS}
  )
  SELECT name, replica, version, net, false AS is_last FROM page WHERE replica = $1::uuid
  UNION ALL
  (SELECT name, replica, version, net, true FROM page OFFSET ${PAGE_SLOTS - 1})`;

/** Parameter: replica. */
export const readLease = (schema: string): string => `${readLeases(schema)} WHERE replica = $1::uuid`;

export const readLeases = (schema: string): string => `SELECT replica, version, document FROM ${schema}.lease`;
