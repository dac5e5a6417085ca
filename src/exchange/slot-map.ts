/** Slots by replica and name. */
import { PartedMap } from '../std/parted-map.ts';
import type { NamedSlot, ReplicaId } from '../store/slot-store.ts';

export class SlotMap {
  readonly #byReplica = new Map<ReplicaId, PartedMap<NamedSlot>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  hasName(name: string): boolean {
    for (const names of this.#byReplica.values()) if (names.has(name)) return true;
    return false;
  }

  /** Keeps the newer state of a slot. */
  put(slot: NamedSlot): void {
    let names = this.#byReplica.get(slot.replica);
    if (names === undefined) {
      names = new PartedMap();
      this.#byReplica.set(slot.replica, names);
    }
    const known = names.add(slot.name, slot);
    if (known === undefined) this.#size++;
    else if (known.version < slot.version) names.set(slot.name, slot);
  }

  delete({ replica, name }: NamedSlot): void {
    const names = this.#byReplica.get(replica);
    if (names?.delete(name) !== true) return;
    this.#size--;
    if (names.size === 0) this.#byReplica.delete(replica);
  }

  *values(): Generator<NamedSlot> {
    for (const names of this.#byReplica.values()) yield* names.values();
  }
}
