/**
 * The config file: YAML 1.2 with the keys of `settings.ts` and the list `policies`. Integers are read exactly,
 * the whole 64-bit range of a floor or ceiling too. What is not known is refused by name: a misspelt bound that
 * is silently ignored would be found when it is too late.
 */
import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import type { Policy } from '../counter/policy.ts';
import {
  parseBoolean,
  parseDuration,
  parseInt64Value,
  parsePattern,
  parseWord,
  shown,
  ValueError,
} from './setting-values.ts';
import { SETTINGS } from './settings.ts';
import { ExitCode, reasonOf, StartError } from './start-error.ts';

type YamlMap = Readonly<Record<string, unknown>>;

export interface ConfigFile {
  /** Values as written, by setting key. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly policies: readonly Policy[];
}

/** @throws StartError (usage) that names the file and the key */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const sentence = `config file ${path} cannot be read: ${reasonOf(error)}; name another with --config, or none`;
    throw new StartError(sentence, { exitCode: ExitCode.usage, cause: error });
  }
  try {
    return parseConfig(text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new StartError(`config file ${path}: ${error.message}`, { exitCode: ExitCode.usage });
  }
}

/** @throws ValueError that names the key */
export function parseConfig(text: string): ConfigFile {
  const document = parseDocument(text, { intAsBigInt: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw new ValueError(`not valid YAML: ${problem.message.split('\n')[0]}`);
  const root: unknown = document.toJS({ maxAliasCount: 100 });
  const entries = root === null ? [] : Object.entries(asMap(root, 'the file'));
  const values = new Map<string, unknown>();
  let policies: readonly Policy[] = [];
  for (const [key, value] of entries) {
    if (key === 'policies') {
      policies = parsePolicies(value);
    } else {
      refuseUnknownKey(key);
      values.set(key, value);
    }
  }
  return { values, policies };
}

function refuseUnknownKey(key: string): void {
  if (key === 'secret') {
    throw new ValueError("unknown key 'secret': put the secret in a file of its own and name it with secret-file");
  }
  const setting = SETTINGS.find((candidate) => candidate.key === key);
  if (setting?.notInFile === true) {
    throw new ValueError(`'${key}' is decided anew at every start: give it as the flag --${key}`);
  }
  if (setting !== undefined) return;
  const known = SETTINGS.filter((candidate) => candidate.notInFile !== true).map((candidate) => candidate.key);
  throw new ValueError(`unknown key '${key}': known are ${[...known, 'policies'].join(', ')}`);
}

const POLICY_FIELDS: Readonly<Record<string, (value: unknown) => Partial<Policy>>> = {
  match: (value) => ({ match: parsePattern(value) }),
  floor: (value) => ({ floor: parseInt64Value(value) }),
  ceiling: (value) => ({ ceiling: parseInt64Value(value) }),
  saturate: (value) => ({ saturate: parseBoolean(value) }),
  ttl: (value) => ({ ttlMs: parseDuration(value) }),
  reads: (value) => ({ reads: parseWord(['durable', 'dirty'])(value) }),
  scope: (value) => ({ scope: parseWord(['shared', 'local'])(value) }),
  ack: (value) => ({ ack: parseWord(['journal', 'store'])(value) }),
  partial: (value) => ({ partial: parseBoolean(value) }),
};

function parsePolicies(value: unknown): readonly Policy[] {
  if (!Array.isArray(value)) throw new ValueError('policies: not a list; begin each policy with "- match: PATTERN"');
  return value.map((item, at) => parsePolicy(item, `policies[${at}]`));
}

function parsePolicy(value: unknown, path: string): Policy {
  let policy: Partial<Policy> = {};
  for (const [key, field] of Object.entries(asMap(value, path))) {
    const parse = Object.hasOwn(POLICY_FIELDS, key) ? POLICY_FIELDS[key] : undefined;
    if (parse === undefined) {
      throw new ValueError(`${path}: unknown key '${key}': known are ${Object.keys(POLICY_FIELDS).join(', ')}`);
    }
    policy = { ...policy, ...named(`${path}.${key}`, () => parse(field)) };
  }
  const { match, floor, ceiling } = policy;
  if (match === undefined) throw new ValueError(`${path}: the key 'match' is missing; it says which names are meant`);
  if (floor !== undefined && ceiling !== undefined && floor > ceiling) {
    throw new ValueError(`${path}: the floor ${floor} is above the ceiling ${ceiling}`);
  }
  return { ...policy, match };
}

/** Runs a parser and puts the setting's name in front of its refusal. */
export function named<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new ValueError(`${name}: ${error.message}`);
  }
}

function asMap(value: unknown, path: string): YamlMap {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as YamlMap;
  throw new ValueError(`${path}: ${shown(value)} is not a map of keys and values`);
}
