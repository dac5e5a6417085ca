/**
 * A map by strings that grows in small steps. A growing `Map` moves all its entries in one turn of the event loop: half
 * a second with four million names. This one is made of many; each time it has grown by what one of them is meant to
 * hold, one of them is split (linear hashing).
 *
 * - A split moves entries to the end, so an entry that exists for the whole walk is seen at least once.
 * - Keys chosen to fall into one part make only that part grow like a `Map`.
 */
const PART_ENTRIES = 8_192;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const MIXER = 0x2c1b3c6d;

export class PartedMap<Value> {
  #parts = [new Map<string, Value>()];
  /** The largest power of two up to the number of parts. */
  #power = 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): Value | undefined {
    return this.#partOf(key).get(key);
  }

  has(key: string): boolean {
    return this.#partOf(key).has(key);
  }

  set(key: string, value: Value): void {
    const part = this.#partOf(key);
    const before = part.size;
    part.set(key, value);
    this.#size += part.size - before;
    if (this.#size > this.#parts.length * PART_ENTRIES) this.#split();
  }

  /** Sets the value if there is none. @returns the existing one */
  add(key: string, value: Value): Value | undefined {
    const part = this.#partOf(key);
    const known = part.get(key);
    if (known !== undefined) return known;
    part.set(key, value);
    this.#size++;
    if (this.#size > this.#parts.length * PART_ENTRIES) this.#split();
    return undefined;
  }

  /** @returns whether it existed */
  delete(key: string): boolean {
    const isThere = this.#partOf(key).delete(key);
    if (isThere) this.#size--;
    return isThere;
  }

  clear(): void {
    this.#parts = [new Map()];
    this.#power = 1;
    this.#size = 0;
  }

  *entries(): Generator<[string, Value]> {
    for (let i = 0; i < this.#parts.length; i++) yield* this.#parts[i] as Map<string, Value>;
  }

  *keys(): Generator<string> {
    for (let i = 0; i < this.#parts.length; i++) yield* (this.#parts[i] as Map<string, Value>).keys();
  }

  *values(): Generator<Value> {
    for (let i = 0; i < this.#parts.length; i++) yield* (this.#parts[i] as Map<string, Value>).values();
  }

  #partOf(key: string): Map<string, Value> {
    return this.#parts[this.#parts.length === 1 ? 0 : this.#indexOf(key)] as Map<string, Value>;
  }

  /** Uses one more bit of the hash if that part already exists. */
  #indexOf(key: string): number {
    const at = hashOf(key) & (2 * this.#power - 1);
    return at < this.#parts.length ? at : at - this.#power;
  }

  /** Parts are split in order, no matter which one has grown, so the number of parts determines where a key is. */
  #split(): void {
    const to = this.#parts.length;
    const part = this.#parts[to - this.#power] as Map<string, Value>;
    const moved = new Map<string, Value>();
    this.#parts.push(moved);
    for (const [key, value] of part) {
      if (this.#indexOf(key) !== to) continue;
      part.delete(key);
      moved.set(key, value);
    }
    if (this.#parts.length === 2 * this.#power) this.#power *= 2;
  }
}

/** FNV-1a, mixed once more, because its low bits hardly depend on the high bits of the characters. */
function hashOf(key: string): number {
  let hash = FNV_OFFSET;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), FNV_PRIME);
  hash = Math.imul(hash ^ (hash >>> 15), MIXER);
  return hash ^ (hash >>> 12);
}
