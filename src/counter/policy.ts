/**
 * Policies: what kind of counter a name pattern denotes. The first policy whose pattern matches a name applies; a name
 * that no pattern matches has the default, which has no special rules.
 */
import { Glob } from './glob.ts';

export const SCOPES = ['shared', 'local'] as const;
export const ACKS = ['journal', 'store'] as const;
export const READS = ['durable', 'dirty'] as const;
/** When an update of a shared counter is acknowledged: once it is durable here, or once the store has confirmed it. */
export type Ack = (typeof ACKS)[number];

export interface Policy {
  /** Redis-style glob over the counter's name. */
  readonly match: string;
  /** Refuse an update whose result would be below. */
  readonly floor?: bigint | undefined;
  /** Refuse an update whose result would be above. */
  readonly ceiling?: bigint | undefined;
  /** At a bound apply what fits instead of refusing, even if the request does not ask for it. */
  readonly saturate?: boolean | undefined;
  /**
   * A counter lives this long after its creation, or after a set, in ms, unless a request gives it another deadline.
   */
  readonly ttlMs?: number | undefined;
  /** With a store: `local` counters stay on the node that took their updates (default `shared`). */
  readonly scope?: (typeof SCOPES)[number] | undefined;
  /** With a store: `store` acknowledges an update of a shared counter when the store has confirmed it. */
  readonly ack?: Ack | undefined;
  /** While the store is unreachable: RESP, too, answers with this node's own count instead of an error. */
  readonly partial?: boolean | undefined;
  /** `dirty`: reads show what is not yet durable (default `durable`). */
  readonly reads?: (typeof READS)[number] | undefined;
}

const encoder = new TextEncoder();

export class PolicyTable {
  readonly #rules: readonly { readonly glob: Glob; readonly policy: Policy }[];

  constructor(policies: readonly Policy[]) {
    this.#rules = policies.map((policy) => ({ glob: new Glob(policy.match), policy }));
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** The patterns of local counters, in order. */
  get localPatterns(): readonly string[] {
    return this.#rules.filter(({ policy }) => policy.scope === 'local').map(({ policy }) => policy.match);
  }

  /** Whether nodes that share a store share the counter with this name. */
  isShared(name: string): boolean {
    const bytes = encoder.encode(name);
    return this.find(bytes, 0, bytes.length)?.scope !== 'local';
  }

  /** The policy of the name in `bytes[start, end)`, or undefined for the default. */
  find(bytes: Uint8Array, start: number, end: number): Policy | undefined {
    for (const rule of this.#rules) {
      if (rule.glob.matches(bytes, start, end)) return rule.policy;
    }
    return undefined;
  }
}
