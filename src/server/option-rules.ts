/** Checks a program's options, with a rule for each. */
import { fitsInt64 } from '../counter/int64.ts';
import { PATTERN_BYTES_MAX } from '../counter/limits.ts';
import { checkKnown } from './arguments.ts';

export type Test = (value: unknown) => boolean;
export type Rule = readonly [expected: string, test: Test];
export type Rules = Readonly<Record<string, Rule>>;

export const isWhole: Test = (value) => Number.isSafeInteger(value) && (value as number) > 0;
const isCount: Test = (value) =>
  typeof value === 'bigint' ? fitsInt64(value) : typeof value === 'number' && Number.isSafeInteger(value);
export const isObject: Test = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

export const WHOLE = ['a whole number above 0', isWhole] as const;
export const FLAG = ['true or false', (value: unknown) => typeof value === 'boolean'] as const;
export const TEXT = [
  'a text that is not empty',
  (value: unknown) => typeof value === 'string' && value !== '',
] as const;
export const PATTERN = [
  `a text of 1 to ${PATTERN_BYTES_MAX} bytes`,
  (value: unknown) => typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= PATTERN_BYTES_MAX,
] as const;
export const COUNT = ['a bigint of 64 bits or a safe integer', isCount] as const;

/** @returns the options. @throws TypeError that names the missing, unknown or invalid one */
export function check(
  given: unknown,
  rules: Rules,
  required: string | undefined,
  where: string,
): Record<string, unknown> {
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

/** One of these words. */
export function oneOf(...words: readonly string[]): Rule {
  return [`one of ${words.join(', ')}`, (value) => words.some((word) => word === value)];
}
