/**
 * The bytes that connections make the server hold: received, queued, being executed, not yet read by the client. One
 * bound for all connections of a door. Bytes of unauthenticated clients are counted separately, so they take nothing
 * from the others.
 */

/** The share of the bound that unauthenticated clients may hold in addition. */
const STRANGERS_PART = 1 / 8;

export class HeldBytes {
  readonly #bytesMax: number;
  readonly #connectionsMax: number;
  readonly #held = { clients: 0, strangers: 0 };

  constructor(bytesMax: number, connectionsMax: number) {
    this.#bytesMax = bytesMax;
    this.#connectionsMax = connectionsMax;
  }

  add(bytes: number, isStranger: boolean): void {
    this.#held[isStranger ? 'strangers' : 'clients'] += bytes;
  }

  /**
   * Whether a connection may hold this much: because all of its kind are within the bound, or it has no more than an
   * equal share.
   */
  allows(bytes: number, isStranger: boolean): boolean {
    const bytesMax = this.#bytesMax * (isStranger ? STRANGERS_PART : 1);
    const held = isStranger ? this.#held.strangers : this.#held.clients;
    return held <= bytesMax || bytes <= bytesMax / this.#connectionsMax;
  }
}

/** The part of one connection. */
export class Holding {
  readonly #door: HeldBytes;
  #bytes = 0;
  #isStranger = false;

  constructor(door: HeldBytes) {
    this.#door = door;
  }

  /** Sets what the connection holds now. @returns false if that is more than before, and too much */
  is(bytes: number, isStranger: boolean): boolean {
    if (bytes === this.#bytes && isStranger === this.#isStranger) return true;
    this.#door.add(-this.#bytes, this.#isStranger);
    this.#door.add(bytes, isStranger);
    const isMore = bytes > this.#bytes;
    this.#bytes = bytes;
    this.#isStranger = isStranger;
    return !isMore || this.#door.allows(bytes, isStranger);
  }
}
