/**
 * Checks the options of `open`, as the server checks its settings: a mistyped option or mode must not silently become
 * another durability or no bound at all.
 */
import { DURABILITIES } from '../counter/service.ts';
import { check, FLAG, isObject, isWhole, oneOf, type Rules, TEXT, WHOLE } from './option-rules.ts';
import { checkPolicies } from './policy-fields.ts';

const OPTIONS: Rules = {
  dir: TEXT,
  durability: oneOf(...DURABILITIES),
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
/** @throws TypeError that names the option */
export function checkOptions(options: unknown): void {
  const { policies, idempotency } = check(options, OPTIONS, 'dir', 'options');
  if (idempotency !== undefined) check(idempotency, IDEMPOTENCY, undefined, 'idempotency');
  checkPolicies((policies ?? []) as readonly unknown[]);
}
