/**
 * What the clients of a region were told, and what a value may therefore be. Client c adds B^c, so the digits of a
 * value to base B are one count per client: they name who was lost or doubled. The digit behind those of the clients is
 * free for values that are set.
 */
export const CLIENTS = 5;
export const BASE = 1_000n;

/** Per client a count. */
export type Counts = number[];

export function noCounts(): Counts {
  return new Array<number>(CLIENTS).fill(0);
}

/** One per client, and what is left above them. */
export function digitsOf(value: bigint): bigint[] {
  const digits: bigint[] = [];
  let rest = value;
  for (let c = 0; c < CLIENTS; c++) {
    digits.push(rest % BASE);
    rest /= BASE;
  }
  return [...digits, rest];
}

/** Counts per name, zeros where there are none. */
export class Tally {
  readonly #counts = new Map<string, Counts>();

  of(name: string): Counts {
    let counts = this.#counts.get(name);
    if (counts === undefined) {
      counts = noCounts();
      this.#counts.set(name, counts);
    }
    return counts;
  }

  add(name: string, client: number, by: number): void {
    const counts = this.of(name);
    counts[client] = (counts[client] as number) + by;
  }

  /** Where the other has more, as much. */
  raise(name: string, other: readonly number[]): void {
    const counts = this.of(name);
    for (const [c, count] of other.entries()) counts[c] = Math.max(counts[c] as number, count);
  }

  copy(): Tally {
    const copy = new Tally();
    for (const [name, counts] of this.#counts) copy.#counts.set(name, [...counts]);
    return copy;
  }

  names(): string[] {
    return [...this.#counts.keys()];
  }
}

/** All that has been asked for and answered, by name and client. */
export class Accounts {
  /** Asked for. */
  readonly invoked = new Tally();
  /** Will be in the value for good. */
  readonly acknowledged = new Tally();
  /** Will never be in the value. */
  readonly refused = new Tally();

  /** Complaints about a value that must hold at least `least`, and nothing that was refused or never asked for. */
  judge(what: string, name: string, value: bigint, least: readonly number[]): string | undefined {
    const digits = digitsOf(value);
    const complain = (why: string): string => `${what}: ${name} is ${value} (${digits.join(' ')}): ${why}`;
    if (value < 0n || digits[CLIENTS] !== 0n) return complain('it is not a sum of what the clients have added');
    for (let c = 0; c < CLIENTS; c++) {
      const most = (this.invoked.of(name)[c] as number) - (this.refused.of(name)[c] as number);
      if (Number(digits[c]) > most) return complain(`client ${c} has added ${most} at most`);
      if (Number(digits[c]) < (least[c] as number)) return complain(`client ${c} must be there ${least[c]} times`);
    }
    return undefined;
  }
}
