/** Shared counters by the bytes of their names. */
import { PartedMap } from '../std/parted-map.ts';
import type { SharedCounter } from './shared-counter.ts';

export class NameMap {
  /** By the bytes of the name, each as one character: what comes in as bytes is found without being decoded. */
  readonly #counters = new PartedMap<SharedCounter>();

  find(name: string): SharedCounter | undefined {
    return this.#counters.get(keyOf(name));
  }

  /** The counter whose name lies in `bytes[start, end)`. */
  findBytes(bytes: Buffer, start: number, end: number): SharedCounter | undefined {
    return this.#counters.get(bytes.toString('latin1', start, end));
  }

  set(counter: SharedCounter): void {
    this.#counters.set(keyOf(counter.name), counter);
  }

  delete({ name }: SharedCounter): void {
    this.#counters.delete(keyOf(name));
  }
}

/** Most names are ASCII, and their own key. */
function keyOf(name: string): string {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) >= 0x80) return Buffer.from(name).toString('latin1');
  return name;
}
