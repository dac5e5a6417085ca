/**
 * Where a reader of the feed stands. Not a position: transactions become visible in another order than they began, so
 * whoever remembers the last one that it saw misses what commits late. A cursor is the snapshot that the last call
 * saw: `xmax`, before which every transaction was over except those `inProgress`. What the next call has to tell is what
 * these wrote, and what later ones wrote. A transaction elsewhere that stays open for hours costs one probe of an index.
 */
import { INT64_MAX } from '../../counter/int64.ts';

export interface Cursor {
  /** The store that gave it. */
  readonly id: string;
  /** Its server process and its tables: transaction numbers mean something only there. */
  readonly term: string;
  /** When, by the server's clock. Unix ms. */
  readonly atMs: string;
  readonly xmax: string;
  readonly inProgress: readonly string[];
}

/** What no store has given. */
export const NO_CURSOR: Cursor = { id: '', term: '', atMs: '0', xmax: '0', inProgress: [] };

const FORM = /^([0-9a-f]{32})\.([\d-]{1,80})\.(\d{1,15})\.\d{1,19}:(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)$/;

/** @param snapshot as `pg_current_snapshot()` writes it: `xmin:xmax:` and what is in progress, with commas. */
export function formatCursor(id: string, term: string, atMs: string, snapshot: string): string {
  return `${id}.${term}.${atMs}.${snapshot}`;
}

/** Whatever is not a cursor is `NO_CURSOR`: nothing that the server could stumble over reaches it. */
export function parseCursor(text: string | undefined): Cursor {
  const [, id, term, atMs, xmax, list] = FORM.exec(text ?? '') ?? [];
  if (id === undefined || term === undefined || atMs === undefined || xmax === undefined) return NO_CURSOR;
  const inProgress = list === undefined || list === '' ? [] : list.split(',');
  if ([xmax, ...inProgress].some((number) => BigInt(number) > INT64_MAX)) return NO_CURSOR;
  return { id, term, atMs, xmax, inProgress };
}
