/**
 * A reader's progress in the feed. It is not a position: transactions become visible in another order than they began,
 * so a reader that remembers only the last one would miss late commits. A cursor is the snapshot of the last call:
 * `xmax`, before which every transaction had ended except those `inProgress`. The next call must return what these and
 * later transactions wrote. A transaction elsewhere that stays open for hours costs one probe of an index.
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

/** A cursor that no store has issued. */
export const NO_CURSOR: Cursor = { id: '', term: '', atMs: '0', xmax: '0', inProgress: [] };

const FORM = /^([0-9a-f]{32})\.([\d-]{1,80})\.(\d{1,15})\.\d{1,19}:(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)$/;

/** @param snapshot as `pg_current_snapshot()` writes it: `xmin:xmax:` and what is in progress, with commas. */
export function formatCursor(id: string, term: string, atMs: string, snapshot: string): string {
  return `${id}.${term}.${atMs}.${snapshot}`;
}

/** Anything that is not a cursor becomes `NO_CURSOR`, so no invalid text reaches the server. */
export function parseCursor(text: string | undefined): Cursor {
  const [, id, term, atMs, xmax, list] = FORM.exec(text ?? '') ?? [];
  if (id === undefined || term === undefined || atMs === undefined || xmax === undefined) return NO_CURSOR;
  const inProgress = list === undefined || list === '' ? [] : list.split(',');
  if ([xmax, ...inProgress].some((number) => BigInt(number) > INT64_MAX)) return NO_CURSOR;
  return { id, term, atMs, xmax, inProgress };
}
