/**
 * Checks what `open` is given, as the server does with its settings: a mistyped option or mode must not silently
 * become another durability or no bound at all.
 */
import { fitsInt64, INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { PATTERN_BYTES_MAX } from '../counter/limits.ts';
import type { Policy } from '../counter/policy.ts';
import { checkKnown } from './arguments.ts';

type Test = (value: unknown) => boolean;
type Rule = readonly [expected: string, test: Test];
type Rules = Readonly<Record<string, Rule>>;

const isWhole: Test = (value) => Number.isSafeInteger(value) && (value as number) > 0;
const isCount: Test = (value) =>
  typeof value === 'bigint' ? fitsInt64(value) : typeof value === 'number' && Number.isSafeInteger(value);
const isObject: Test = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

const WHOLE = ['a whole number above 0', isWhole] as const;
const FLAG = ['true or false', (value: unknown) => typeof value === 'boolean'] as const;
const TEXT = ['a text that is not empty', (value: unknown) => typeof value === 'string' && value !== ''] as const;
const PATTERN = [
  `a text of 1 to ${PATTERN_BYTES_MAX} bytes`,
  (value: unknown) => typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= PATTERN_BYTES_MAX,
] as const;
const COUNT = ['a bigint of 64 bits or a safe integer', isCount] as const;

const OPTIONS: Rules = {
  dir: TEXT,
  durability: oneOf('always', 'interval', 'off'),
  policies: ['a list of policies', Array.isArray],
  idempotency: ['an object', isObject],
  snapshotJournalBytes: WHOLE,
  countersMax: WHOLE,
  memoryBytesMax: WHOLE,
  takeOver: FLAG,
  onFailure: ['a function', (value) => typeof value === 'function'],
};
const IDEMPOTENCY: Rules = {
  retentionMs: WHOLE,
  bytesMax: WHOLE,
  clockSkewMs: ['a whole number', (value) => value === 0 || isWhole(value)],
};
const POLICY: Rules = {
  match: PATTERN,
  floor: COUNT,
  ceiling: COUNT,
  saturate: FLAG,
  ttlSeconds: [
    'a number above 0',
    (value) => typeof value === 'number' && value * 1000 >= 1 && isWhole(Math.round(value * 1000)),
  ],
  reads: oneOf('durable', 'dirty'),
  scope: oneOf('shared', 'local'),
  ack: oneOf('journal', 'store'),
  partial: FLAG,
};

/** @throws TypeError that names the option */
export function checkOptions(options: unknown): void {
  const { policies, idempotency } = check(options, OPTIONS, 'dir', 'options');
  if (idempotency !== undefined) check(idempotency, IDEMPOTENCY, undefined, 'idempotency');
  for (const [at, policy] of ((policies ?? []) as unknown[]).entries())
    check(policy, POLICY, 'match', `policies[${at}]`);
}

/** The policy with its bounds as the engine takes them. @throws TypeError when no value satisfies both */
export function policyOf({ floor, ceiling, ttlSeconds, ...rest }: PolicyOptions): Policy {
  const bound = (count: bigint | number | undefined): bigint | undefined =>
    count === undefined ? count : BigInt(count);
  if ((bound(floor) ?? INT64_MIN) > (bound(ceiling) ?? INT64_MAX))
    throw new TypeError(`the policy of ${rest.match}: the floor ${floor} is above the ceiling ${ceiling}`);
  const ttlMs = ttlSeconds === undefined ? undefined : Math.round(ttlSeconds * 1000);
  return { ...rest, floor: bound(floor), ceiling: bound(ceiling), ttlMs };
}

/** A policy as a program writes it: bounds may be safe integers, times are seconds. */
export interface PolicyOptions extends Omit<Policy, 'floor' | 'ceiling' | 'ttlMs'> {
  /** A counter is deleted so long after its creation, or after a set. */
  readonly ttlSeconds?: number | undefined;
  /** Refuse an update whose result would be below. */
  readonly floor?: bigint | number | undefined;
  /** Refuse an update whose result would be above. */
  readonly ceiling?: bigint | number | undefined;
}

function check(given: unknown, rules: Rules, required: string | undefined, where: string): Record<string, unknown> {
  checkKnown(given as object, Object.keys(rules), `${where}: `);
  const fields = given as Record<string, unknown>;
  if (required !== undefined && fields[required] === undefined) throw new TypeError(`${where}: ${required} is missing`);
  for (const [key, value] of Object.entries(fields)) {
    const [expected, test] = rules[key] as Rule;
    if (value !== undefined && !test(value)) {
      throw new TypeError(`${where}.${key}: ${expected} is expected, not ${String(value)}`);
    }
  }
  return fields;
}

function oneOf(...words: readonly string[]): Rule {
  return [`one of ${words.join(', ')}`, (value) => words.some((word) => word === value)];
}
