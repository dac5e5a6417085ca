/** `tallyd/store`: the port of slot stores, and the checks that every implementation passes. */
export type { Cut } from '../crdt/cut.ts';
export type { CounterState } from '../crdt/merge.ts';
export type { Slot } from '../crdt/slot.ts';
export { type ConformanceBench, type ConformanceCheck, slotStoreChecks } from './conformance.ts';
export {
  type Assertion,
  type Changes,
  type CutRequest,
  type DamagedState,
  type Guarantees,
  isFolded,
  type Lease,
  type NamedCut,
  type NamedSlot,
  type ReplicaId,
  type SlotPage,
  type SlotStore,
  type StoredState,
  StoreError,
  type StoreIdentity,
  StoreRefusal,
  UnknownStore,
} from './slot-store.ts';
