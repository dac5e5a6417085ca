/** The memory of counters, their deadlines and the ids of imports outside of the heap, and its limit. */
export class Memory {
  readonly bytesMax: number;
  readonly #parts: (() => number)[] = [];

  /** @param bytesMax without it there is no limit */
  constructor(bytesMax = Number.MAX_SAFE_INTEGER) {
    this.bytesMax = bytesMax;
  }

  /** Also counts the memory that this function reports. */
  count(bytes: () => number): void {
    this.#parts.push(bytes);
  }

  get bytes(): number {
    let bytes = 0;
    for (const part of this.#parts) bytes += part();
    return bytes;
  }

  /** Whether an entry of usual size may be added with `sparedBytes` left. */
  hasRoom(sparedBytes = 0): boolean {
    return this.bytesMax === Number.MAX_SAFE_INTEGER || this.bytes + sparedBytes < this.bytesMax;
  }
}
