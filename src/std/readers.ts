/** Those that read a stream. One that throws has left it, and the stream continues for the others. */
export class Readers<Reader> {
  readonly #readers = new Set<Reader>();
  readonly #failed: (fault: unknown) => void;

  /** @param failed called with what a reader threw. */
  constructor(failed: (fault: unknown) => void) {
    this.#failed = failed;
  }

  get isEmpty(): boolean {
    return this.#readers.size === 0;
  }

  /** @returns leaves the stream, at once */
  add(reader: Reader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  each(tell: (reader: Reader) => void): void {
    for (const reader of this.#readers) {
      try {
        tell(reader);
      } catch (fault) {
        this.#readers.delete(reader);
        this.#failed(fault);
      }
    }
  }
}
