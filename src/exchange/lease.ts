/**
 * A replica's lease, as the document that the store keeps for it. Its life: RUNNING while it renews it; BATON after a
 * clean stop, until the same directory redeems the token; FINAL when an heir has published its last slots, from then on
 * only its excess counts; FOLDED when these are in the counters' cuts. IMPORT is what a directory had counted alone.
 */
import type { Clock } from '../host/host.ts';
import type { Lease, SlotStore } from '../store/slot-store.ts';

const LEASE_FORMAT = 1;

export type LeaseState = 'running' | 'baton' | 'import' | 'final' | 'folded';

const STATES: ReadonlySet<LeaseState> = new Set(['running', 'baton', 'import', 'final', 'folded']);
const DIGITS = /^[0-9]{1,19}$/;

/** Where a replica runs, for operators. */
export interface Place {
  readonly host: string;
  /** The data directory. */
  readonly path: string;
  /** Where its doors listen, `host:port`. */
  readonly http?: string | undefined;
  readonly resp?: string | undefined;
}

export interface LeaseDocument {
  readonly format: typeof LEASE_FORMAT;
  readonly state: LeaseState;
  /** The directory that it counts for. */
  readonly directory: string;
  /** Distinguishes renewals, so that a swap whose answer was lost is recognised. */
  readonly nonce: string;
  /** Everything up to this version has been confirmed by the store. Decimal digits. */
  readonly through: string;
  /** When it was written, by the writer's clock, Unix ms. For operators, and to find replicas that died long ago. */
  readonly at: number;
  /**
   * The store's term under which everything known here was sent to it; if empty or another term, that is still to be
   * done. Absent in earlier versions.
   */
  readonly reasserted?: string | undefined;
  /** What redeems a baton. */
  readonly token?: string | undefined;
  readonly place?: Place | undefined;
}

/**
 * Replaces the lease with this version, or creates it if the version is 0.
 * @returns whether it was written; another process may have been first
 * @throws StoreError
 */
export function writeLease(
  store: SlotStore,
  clock: Clock,
  { replica, version }: Pick<Lease, 'replica' | 'version'>,
  content: Omit<LeaseDocument, 'format' | 'at'>,
): Promise<boolean> {
  const { state, directory, nonce, through, reasserted, token, place } = content;
  const document: LeaseDocument = {
    format: LEASE_FORMAT,
    state,
    directory,
    nonce,
    through,
    at: clock.nowMs(),
    ...(reasserted === undefined ? {} : { reasserted }),
    ...(token === undefined ? {} : { token }),
    ...(place === undefined ? {} : { place }),
  };
  return store.swapLease(replica, version, JSON.stringify(document));
}

/** Undefined: not a lease, or one of a later version. A document is input, like all data from a store. */
export function readLease({ document }: Lease): LeaseDocument | undefined {
  const value = parseObject(document);
  const { format, state, directory, nonce, through, at, reasserted, token, place } = value;
  if (format !== LEASE_FORMAT || !STATES.has(state as LeaseState) || typeof at !== 'number') return undefined;
  if (typeof directory !== 'string' || typeof nonce !== 'string' || !DIGITS.test(String(through))) return undefined;
  if (![token, reasserted].every((text) => text === undefined || typeof text === 'string')) return undefined;
  return { ...(value as unknown as LeaseDocument), place: isPlace(place) ? place : undefined };
}

/** Whether it can be shown: nothing in it ends the line or controls a terminal. */
function isPlace(value: unknown): value is Place {
  if (typeof value !== 'object' || value === null) return false;
  const { host, path, http = '', resp = '' } = value as Record<string, unknown>;
  return [host, path, http, resp].every(
    (text) => typeof text === 'string' && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text),
  );
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
