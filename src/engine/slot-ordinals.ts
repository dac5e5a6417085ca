/** Whose slots recovery has read, noted on the way: what has been deleted since is among them, too. */
import { Kind } from '../counter/key.ts';

export class SlotOrdinals {
  readonly all = new Set<number>();
  #last = -1;

  /** A record was read whose key begins here. */
  note(kind: number, nameLength: number, view: DataView, key: number): void {
    if (kind !== Kind.slot) return;
    const ordinal = view.getUint32(key + nameLength, true);
    // Nearly always that of the record before.
    if (ordinal === this.#last) return;
    this.#last = ordinal;
    this.all.add(ordinal);
  }
}
