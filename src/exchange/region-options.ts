/** What a replica is told at its start about its part in a region, and whom it tells what happens there. */
import type { Ack, PolicyTable } from '../counter/policy.ts';
import type { Engine } from '../engine/engine.ts';
import type { Host } from '../host/host.ts';
import type { ReplicaId, SlotStore } from '../store/slot-store.ts';
import type { Identity } from './identity.ts';
import type { Place } from './lease.ts';
import type { CounterWatch } from './shared-counter.ts';

/** With what is told of counters whose values may have changed. */
export type WatchedOptions = RegionOptions & Pick<CounterWatch, 'changed'>;

export interface RegionOptions {
  readonly engine: Engine;
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
  /** Told to people who look at the region. */
  readonly place?: Place | undefined;
  /** A replica without an heir that has not renewed its lease for so long is folded by whoever notices. */
  readonly retireAfterMs: number;
  /** How far back a store may go: so long a directory keeps what it has folded. */
  readonly keepFoldedMs: number;
  /** How long a call of the store may take. */
  readonly callMs: number;
  /** How long a start waits for a store that it meets for the first time. */
  readonly attachMs: number;
  /** Told of what goes wrong between here and the store, which is tried again; and when it works again. */
  readonly onFailure: (error: unknown) => void;
  readonly onRepaired: () => void;
  /** Told when replica.json cannot be written, which is tried again. */
  readonly onUnwritten: (error: unknown) => void;
  /** Told of replicas that were retired because nobody had heard of them for long. */
  readonly onRetired: (replica: ReplicaId) => void;
  /** Told, once each, of what the store or `cuts.log` says and cannot be so. */
  readonly onDamaged: (what: string) => void;
  /** Told, once each time, when the store has gone back in time: it had lost what it had confirmed. */
  readonly onWentBack: () => void;
  /** This process must end: another one counts under its id, or something happened that cannot. */
  readonly onFatal: (error: unknown) => void;
}
