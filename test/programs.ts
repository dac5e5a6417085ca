// Programs that tests start and that are not in a package: servers, their tools, strace.

import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where the program is. Debian keeps PostgreSQL's outside of the PATH, by version. */
export function findProgram(name: string): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = list(debian).sort((a, b) => Number(b) - Number(a));
  const directories = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

/**
 * For `skipIf`: whether a program that the tests need is missing.
 * @throws with CI=true, where a skipped test would go unnoticed.
 */
export function lacks(...names: readonly string[]): boolean {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0 && process.env['CI'] === 'true') {
    throw new Error(`CI=true, and not installed: ${missing.join(', ')}; install them, nothing may be skipped`);
  }
  return missing.length > 0;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
