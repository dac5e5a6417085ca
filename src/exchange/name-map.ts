/**
 * Shared counters by the bytes of their names. Many small maps instead of a large one, for a map that grows moves all that it
 * has in one turn: half a second with four million names.
 */
import type { SharedCounter } from './shared-counter.ts';

const PARTS = 256;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class NameMap {
  /** By the bytes of the name, each as one character: what comes in as bytes is found without being decoded. */
  readonly #parts = Array.from({ length: PARTS }, () => new Map<string, SharedCounter>());

  find(name: string): SharedCounter | undefined {
    return this.#get(keyOf(name));
  }

  /** The counter whose name lies in `bytes[start, end)`. */
  findBytes(bytes: Buffer, start: number, end: number): SharedCounter | undefined {
    return this.#get(bytes.toString('latin1', start, end));
  }

  set(counter: SharedCounter): void {
    const key = keyOf(counter.name);
    this.#partOf(key).set(key, counter);
  }

  delete({ name }: SharedCounter): void {
    const key = keyOf(name);
    this.#partOf(key).delete(key);
  }

  #get(key: string): SharedCounter | undefined {
    return this.#partOf(key).get(key);
  }

  /** By FNV-1a of the bytes. */
  #partOf(key: string): Map<string, SharedCounter> {
    let hash = FNV_OFFSET;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), FNV_PRIME);
    return this.#parts[hash >>> 24] as Map<string, SharedCounter>;
  }
}

/** Most names are ASCII, and their own key. */
function keyOf(name: string): string {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) >= 0x80) return Buffer.from(name).toString('latin1');
  return name;
}
