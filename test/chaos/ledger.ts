// What a client knows of the updates that it asked for: done, refused, or unknown; and which final values that allows,
// as Jepsen's checker of counters has it: D is the sum of what was acknowledged, and every unknown amount d makes the
// set of acceptable values A into A and A + d.

export class Ledger {
  #acknowledged = 0n;
  /** Asked for, and not answered yet, or never. */
  readonly #open = new Map<number, bigint>();
  #asked = 0;

  /** Before an update is sent. @returns what `done` and `refused` take; without either it stays unknown */
  ask(amount: bigint): number {
    this.#open.set(++this.#asked, amount);
    return this.#asked;
  }

  done(update: number): void {
    this.#acknowledged += this.#open.get(update) ?? 0n;
    this.#open.delete(update);
  }

  refused(update: number): void {
    this.#open.delete(update);
  }

  /** The sum of what was acknowledged. */
  get acknowledged(): bigint {
    return this.#acknowledged;
  }

  /** How many are open. */
  get unknown(): number {
    return this.#open.size;
  }

  /** The greatest sum that is possible right now, where no amount is negative. */
  get most(): bigint {
    let most = this.#acknowledged;
    for (const amount of this.#open.values()) most += amount;
    return most;
  }

  /** Whether this can be the sum when every open update counts once or not at all. */
  accepts(value: bigint): boolean {
    let acceptable = new Set([this.#acknowledged]);
    for (const amount of this.#open.values()) {
      acceptable = new Set([...acceptable, ...[...acceptable].map((sum) => sum + amount)]);
    }
    return acceptable.has(value);
  }

  toString(): string {
    return `${this.#acknowledged} acknowledged, ${this.#open.size} unknown`;
  }
}

/** Names and their values. */
export type Values = ReadonlyMap<string, bigint>;
