/** The limits that the system sets this process, where Linux's /proc says them. */
import { readFileSync } from 'node:fs';

/** A file's text; undefined where there is none. */
export type Read = (path: string) => string | undefined;

/** @param name as in /proc/self/limits. @returns undefined: no limit, or none that is known */
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
