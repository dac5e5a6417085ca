/** The resource limits of this process, from Linux's /proc. */
import { readFileSync } from 'node:fs';

/** A file's text; undefined if there is no such file. */
export type Read = (path: string) => string | undefined;

/** @param name as in /proc/self/limits. @returns undefined: no limit, or it is not known */
export function processLimit(name: string, read: Read = readText): number | undefined {
  const found = new RegExp(`^${name} +(\\d+)`, 'm').exec(read('/proc/self/limits') ?? '')?.[1];
  return found === undefined ? undefined : Number(found);
}

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // No such system, or no such limit.
    return undefined;
  }
}
