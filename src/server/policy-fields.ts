/**
 * The fields of a policy, each said once: its name and what it takes in the config file, and the same for a program
 * that opens an engine.
 */
import { ACKS, type Policy, READS, SCOPES } from '../counter/policy.ts';
import { COUNT, check, FLAG, isWhole, oneOf, PATTERN, type Rule } from './option-rules.ts';
import {
  asMap,
  named,
  parseBoolean,
  parseDuration,
  parseInt64Value,
  parsePattern,
  parseWord,
  ValueError,
} from './setting-values.ts';

/** A policy as a program writes it: bounds may be safe integers, times are seconds. */
export interface PolicyOptions extends Omit<Policy, 'floor' | 'ceiling' | 'ttlMs'> {
  /** A counter is deleted so long after its creation, or after a set. */
  readonly ttlSeconds?: number | undefined;
  /** Refuse an update whose result would be below. */
  readonly floor?: bigint | number | undefined;
  /** Refuse an update whose result would be above. */
  readonly ceiling?: bigint | number | undefined;
}

interface Field {
  /** Its names in the config file and among a program's options. */
  readonly key: string;
  readonly option: keyof PolicyOptions;
  readonly parse: (value: unknown) => unknown;
  readonly rule: Rule;
  /** From an option that keeps the rule. */
  readonly convert: (value: never) => unknown;
}

const SECONDS: Rule = [
  'a number above 0',
  (value) => typeof value === 'number' && value * 1000 >= 1 && isWhole(Math.round(value * 1000)),
];
const toMs = (seconds: number): number => Math.round(seconds * 1000);
const toCount = (count: bigint | number): bigint => BigInt(count);

const FIELDS: Readonly<Record<keyof Policy, Field>> = {
  match: field('match', parsePattern, PATTERN),
  floor: field('floor', parseInt64Value, COUNT, toCount),
  ceiling: field('ceiling', parseInt64Value, COUNT, toCount),
  saturate: field('saturate', parseBoolean, FLAG),
  ttlMs: { key: 'ttl', option: 'ttlSeconds', parse: parseDuration, rule: SECONDS, convert: toMs },
  reads: field('reads', parseWord(READS), oneOf(...READS)),
  scope: field('scope', parseWord(SCOPES), oneOf(...SCOPES)),
  ack: field('ack', parseWord(ACKS), oneOf(...ACKS)),
  partial: field('partial', parseBoolean, FLAG),
};

/** A field that is called the same everywhere. */
function field(
  name: keyof Policy & keyof PolicyOptions,
  parse: Field['parse'],
  rule: Rule,
  convert: Field['convert'] = (value: unknown) => value,
): Field {
  return { key: name, option: name, parse, rule, convert };
}

const BY_KEY = new Map(Object.entries(FIELDS).map(([name, of]) => [of.key, { name, ...of }]));
const RULES = Object.fromEntries(Object.values(FIELDS).map(({ option, rule }) => [option, rule]));

/** The policies of the config file. @throws ValueError that names the place */
export function parsePolicies(value: unknown): readonly Policy[] {
  if (!Array.isArray(value)) throw new ValueError('policies: not a list; begin each policy with "- match: PATTERN"');
  return value.map((item, at) => parsePolicy(item, `policies[${at}]`));
}

function parsePolicy(value: unknown, path: string): Policy {
  const fields = Object.entries(asMap(value, path)).map(([key, given]): [string, unknown] => {
    const known = BY_KEY.get(key);
    if (known === undefined) {
      throw new ValueError(`${path}: unknown key '${key}': known are ${[...BY_KEY.keys()].join(', ')}`);
    }
    return [known.name, named(`${path}.${key}`, () => known.parse(given))];
  });
  // Each value comes from the parser of its field.
  const policy = Object.fromEntries(fields) as unknown as Policy;
  if (policy.match === undefined) {
    throw new ValueError(`${path}: the key 'match' is missing; it says which names are meant`);
  }
  if (isCrossed(policy)) throw new ValueError(`${path}: ${crossed(policy)}`);
  return policy;
}

/** The policies that `open` is given. @throws TypeError that names the place */
export function checkPolicies(policies: readonly unknown[]): void {
  for (const [at, policy] of policies.entries()) check(policy, RULES, 'match', `policies[${at}]`);
}

/** A checked policy as the engine takes it. @throws TypeError when no value satisfies both bounds */
export function policyOf(options: PolicyOptions): Policy {
  const fields = Object.entries(FIELDS).flatMap(([name, { option, convert }]) => {
    const value = options[option];
    return value === undefined ? [] : [[name, convert(value as never)]];
  });
  // Each value keeps the rule of its option.
  const policy = Object.fromEntries(fields) as Policy;
  if (isCrossed(policy)) throw new TypeError(`the policy of ${policy.match}: ${crossed(policy)}`);
  return policy;
}

function isCrossed({ floor, ceiling }: Policy): boolean {
  return floor !== undefined && ceiling !== undefined && floor > ceiling;
}

function crossed({ floor, ceiling }: Policy): string {
  return `the floor ${floor} is above the ceiling ${ceiling}`;
}
