/**
 * The values of the shared counters that are held here: the region's state, plus this replica's own counts once they
 * are durable. Values are absolute and coalesced: a counter that changes many times before its turn is reported once,
 * with its newest value. A counter that is known only in part, or that has left memory, is not reported.
 */
import type { Clock } from '../host/host.ts';
import { Readers } from '../std/readers.ts';
import type { SharedCounter } from './shared-counter.ts';

/** Values reported in one turn of the event loop. */
const TURN_COUNTERS = 1_000;

export interface ValueReader {
  /**
   * @param value may be outside of 64 bits, where others count too. Not `exists`: the counter was deleted, or never
   * was.
   */
  value(name: string, value: bigint, exists: boolean): void;
}

export class ValueStream {
  readonly #clock: Clock;
  readonly #readers: Readers<ValueReader>;
  /** Changed and not reported yet: no more than are held. */
  readonly #changed = new Set<SharedCounter>();
  #isDue = false;

  /** @param failed a reader threw: it has left the stream, which goes on for the others. */
  constructor(clock: Clock, failed: (fault: unknown) => void) {
    this.#clock = clock;
    this.#readers = new Readers(failed);
  }

  /** Adds a reader: it gets what changes from now on. @returns leaves the stream, at once */
  read(reader: ValueReader): () => void {
    return this.#readers.add(reader);
  }

  /** A counter may have another value now. */
  readonly changed = (counter: SharedCounter): void => {
    if (this.#readers.isEmpty) return;
    this.#changed.add(counter);
    this.#plan();
  };

  #plan(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.soon(() => this.#tell());
  }

  #tell(): void {
    this.#isDue = false;
    let left = TURN_COUNTERS;
    for (const counter of this.#changed) {
      if (left-- === 0) {
        this.#plan();
        break;
      }
      this.#changed.delete(counter);
      if (counter.warmth === 'warm' && counter.position >= 0) this.#tellOne(counter);
    }
  }

  #tellOne({ name, durableValue, durableExists }: SharedCounter): void {
    this.#readers.each((reader) => reader.value(name, durableExists ? durableValue : 0n, durableExists));
  }
}
