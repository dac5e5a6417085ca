/**
 * What connections make the server hold, in bytes: received, queued, under way, not yet taken by the client. One bound
 * for all of a door. What strangers hold, who have not shown the secret, is counted apart: it takes nothing from the
 * others.
 */

/** What strangers may hold together: so much of what the others may, and on top of it. */
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
   * Whether a connection may hold so much: because all of its sort are within the bound, or it has no more than an
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

  /** The connection holds so much now. @returns false when that is more than before, and too much */
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
