/** What counters, their deadlines and the ids of imports take outside of the heap, and how much they may. */
export class Memory {
  readonly bytesMax: number;
  readonly #parts: (() => number)[] = [];

  /** @param bytesMax without it there is no limit */
  constructor(bytesMax = Number.MAX_SAFE_INTEGER) {
    this.bytesMax = bytesMax;
  }

  /** Counts what this tells, too. */
  count(bytes: () => number): void {
    this.#parts.push(bytes);
  }

  get bytes(): number {
    let bytes = 0;
    for (const part of this.#parts) bytes += part();
    return bytes;
  }

  /** Whether something of usual size may be added, and `sparedBytes` stay. */
  hasRoom(sparedBytes = 0): boolean {
    return this.bytesMax === Number.MAX_SAFE_INTEGER || this.bytes + sparedBytes < this.bytesMax;
  }
}
