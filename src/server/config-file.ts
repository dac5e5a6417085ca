/**
 * The config file: YAML 1.2 with the keys of `settings.ts` and the list `policies`. Integers are read exactly, the
 * whole 64-bit range of a floor or ceiling too. Unknown keys are refused by name: a misspelt bound that is silently
 * ignored would be noticed too late.
 */
import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import type { Policy } from '../counter/policy.ts';
import { parsePolicies } from './policy-fields.ts';
import { asMap, ValueError } from './setting-values.ts';
import { SETTINGS } from './settings.ts';
import { ExitCode, reasonOf, StartError } from './start-error.ts';

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
