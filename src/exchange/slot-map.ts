/** Slots by replica and name. */
import { PartedMap } from '../std/parted-map.ts';
import type { NamedSlot, ReplicaId } from '../store/slot-store.ts';

type SlotKey = Pick<NamedSlot, 'name' | 'replica'>;

export class SlotMap {
  readonly #byReplica = new Map<ReplicaId, PartedMap<NamedSlot>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get({ replica, name }: SlotKey): NamedSlot | undefined {
    return this.#byReplica.get(replica)?.get(name);
  }

  hasName(name: string): boolean {
    for (const names of this.#byReplica.values()) if (names.has(name)) return true;
    return false;
  }

  set(slot: NamedSlot): void {
    let names = this.#byReplica.get(slot.replica);
    if (names === undefined) {
      names = new PartedMap();
      this.#byReplica.set(slot.replica, names);
    }
    const before = names.size;
    names.set(slot.name, slot);
    this.#size += names.size - before;
  }

  delete({ replica, name }: SlotKey): void {
    const names = this.#byReplica.get(replica);
    if (names?.delete(name) !== true) return;
    this.#size--;
    if (names.size === 0) this.#byReplica.delete(replica);
  }

  *values(): Generator<NamedSlot> {
    for (const names of this.#byReplica.values()) yield* names.values();
  }
}
