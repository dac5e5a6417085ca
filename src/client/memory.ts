/**
 * What a client remembers of counters that many nodes share: which of its own updates reads must contain, no matter
 * which node answers, and which counters accept no idempotency key. Bounded: counters that were not used lately are
 * forgotten.
 */
const NAMES_MAX = 10_000;
/** Nodes whose updates one read waits for. */
const TOKENS_MAX = 16;

interface Remembered {
  /** By replica, the newest session token: `replica.version`, with `.cut` after a set or a delete. */
  readonly tokens: Map<string, string>;
  takesNoKey: boolean;
}

export class Memory {
  /** The one used last is the last. */
  readonly #names = new Map<string, Remembered>();
  #hasSeenShared = false;

  /** The server shares counters, and keeps doing so: a directory that has met a store starts only with one. */
  get hasSeenShared(): boolean {
    return this.#hasSeenShared;
  }

  /** An update of these counters was answered with a token. */
  keepToken(names: readonly string[], token: string): void {
    this.#hasSeenShared = true;
    const [replica = '', version = ''] = token.split('.');
    for (const name of names) {
      const { tokens } = this.#of(name);
      const before = tokens.get(replica);
      const hasCut = before?.endsWith('.cut') === true && !token.endsWith('.cut');
      const isNewer = before === undefined || BigInt(version) >= BigInt(before.split('.')[1] ?? 0);
      tokens.delete(replica);
      tokens.set(replica, isNewer ? token + (hasCut ? '.cut' : '') : before);
      for (const oldest of tokens.keys()) if (tokens.size > TOKENS_MAX) tokens.delete(oldest);
    }
  }

  /** What a read of these counters must contain; undefined: nothing. */
  tokenFor(names: readonly string[]): string | undefined {
    const tokens = new Set(names.flatMap((name) => [...(this.#names.get(name)?.tokens.values() ?? [])]));
    return tokens.size === 0 ? undefined : [...tokens].slice(-TOKENS_MAX).join(',');
  }

  /** The server no longer knows this token. */
  forgetTokens(): void {
    for (const { tokens } of this.#names.values()) tokens.clear();
  }

  takesNoKey(names: readonly string[]): boolean {
    return names.some((name) => this.#names.get(name)?.takesNoKey === true);
  }

  keepTakesNoKey(names: readonly string[], takesNoKey: boolean): void {
    this.#hasSeenShared ||= takesNoKey;
    for (const name of names) if (takesNoKey || this.#names.has(name)) this.#of(name).takesNoKey = takesNoKey;
  }

  #of(name: string): Remembered {
    const known = this.#names.get(name) ?? { tokens: new Map<string, string>(), takesNoKey: false };
    this.#names.delete(name);
    this.#names.set(name, known);
    for (const oldest of this.#names.keys()) {
      if (this.#names.size <= NAMES_MAX) break;
      this.#names.delete(oldest);
    }
    return known;
  }
}
