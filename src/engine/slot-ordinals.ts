/** The ordinals of the slots that recovery has read, including those deleted since. */
import { Kind } from '../counter/key.ts';

export class SlotOrdinals {
  readonly all = new Set<number>();
  #last = -1;

  /** Notes a record whose key begins here. */
  note(kind: number, nameLength: number, view: DataView, key: number): void {
    if (kind !== Kind.slot) return;
    const ordinal = view.getUint32(key + nameLength, true);
    // Nearly always the same as for the previous record.
    if (ordinal === this.#last) return;
    this.#last = ordinal;
    this.all.add(ordinal);
  }
}
