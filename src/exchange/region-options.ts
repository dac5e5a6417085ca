/** The options of a replica for its part in a region, and the callbacks for events there. */
import type { Ack, PolicyTable } from '../counter/policy.ts';
import type { Host } from '../host/host.ts';
import type { ReplicaId, SlotStore } from '../store/slot-store.ts';
import type { Identity } from './identity.ts';
import type { Place } from './lease.ts';
import type { CounterWatch } from './shared-counter.ts';
import type { SlotJournal } from './slot-journal.ts';

/** With the callback for counters whose values may have changed. */
export type WatchedOptions = RegionOptions & Pick<CounterWatch, 'changed'>;

export interface RegionOptions {
  readonly engine: SlotJournal;
  readonly store: SlotStore;
  readonly host: Host;
  readonly identity: Identity;
  readonly policies: PolicyTable;
  readonly ack: Ack;
  /** For shared counters that are held here. Undefined: no limit. */
  readonly memoryBytes?: number | undefined;
  readonly flushMs: number;
  readonly pollMs: number;
  readonly leaseMs: number;
  /** Shown to operators of the region. */
  readonly place?: Place | undefined;
  /** A replica without an heir that has not renewed its lease for this long is folded by any node that notices. */
  readonly retireAfterMs: number;
  /** How far back a store may go: a directory keeps its folds for this long. */
  readonly keepFoldedMs: number;
  /** How long a call of the store may take. */
  readonly callMs: number;
  /** How long a start waits for a store that it meets for the first time. */
  readonly attachMs: number;
  /** Called for failures between here and the store, which are retried; and when it works again. */
  readonly onFailure: (error: unknown) => void;
  readonly onRepaired: () => void;
  /** Called when replica.json cannot be written; the write is retried. */
  readonly onUnwritten: (error: unknown) => void;
  /** Called for replicas that were retired because they had not renewed their lease for long. */
  readonly onRetired: (replica: ReplicaId) => void;
  /** Called once for each impossible record in the store or in `cuts.log`. */
  readonly onDamaged: (what: string) => void;
  /** Called once each time the store has gone back in time: it had lost confirmed data. */
  readonly onWentBack: () => void;
  /** This process must end: another one counts under its id, or something impossible happened. */
  readonly onFatal: (error: unknown) => void;
}
