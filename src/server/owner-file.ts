/**
 * `owner.json`: who owned the data directory last. A socket tells whether an owner lives only on the host
 * that it runs on; a directory on shared or moved storage also needs to say where its last owner ran, and
 * whether it stopped cleanly. Replaced by rename and synced, so it is never torn.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { reasonOf, StartError, systemCode } from './start-error.ts';

const FILE = 'owner.json';
const TEMPORARY = 'owner.json.tmp';

/** What tells this host, and this boot of it, from others. Undefined: the system does not say. */
export interface Machine {
  readonly bootId: string | undefined;
  readonly machineId: string | undefined;
  readonly hostname: string;
}

export interface OwnerRecord extends Machine {
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Whether it stopped cleanly and gave the directory away. */
  readonly released: boolean;
}

/** The host that this process runs on. */
export async function thisMachine(): Promise<Machine> {
  return {
    bootId: await firstLine('/proc/sys/kernel/random/boot_id'),
    machineId: await firstLine('/etc/machine-id'),
    hostname: hostname(),
  };
}

/** Missing on other systems than Linux, and empty in some containers: then the host name alone decides. */
async function firstLine(path: string): Promise<string | undefined> {
  try {
    const line = (await readFile(path, 'utf8')).split('\n')[0]?.trim();
    return line === '' ? undefined : line;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

/**
 * Whether `last` was written on this host. The same boot is the same host, whatever a container calls itself;
 * after a reboot the machine's id and name have to be the same.
 */
export function isSameHost(last: Machine, now: Machine): boolean {
  if (last.bootId !== undefined && last.bootId === now.bootId) return true;
  const sameId = last.machineId === undefined || now.machineId === undefined || last.machineId === now.machineId;
  return sameId && last.hostname === now.hostname;
}

/**
 * The last owner's record, or undefined when nobody ever owned the directory.
 * @throws StartError when there is a record that cannot be read
 */
export async function readOwnerRecord(directory: string): Promise<OwnerRecord | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, FILE), 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw unreadable(directory, error);
  }
  try {
    const record: unknown = JSON.parse(text);
    if (isOwnerRecord(record)) return record;
  } catch (error) {
    throw unreadable(directory, error);
  }
  throw unreadable(directory, undefined);
}

function unreadable(directory: string, cause: unknown): StartError {
  const why = cause === undefined ? 'it is not an owner record' : reasonOf(cause);
  return new StartError(
    `data directory ${directory}: ${FILE} cannot be read (${why}), so its last owner is unknown; ` +
      'make sure that no other host uses the directory, then start with --take-over',
    { cause },
  );
}

function isOwnerRecord(value: unknown): value is OwnerRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  const isOptionalText = (field: unknown): boolean => field === undefined || typeof field === 'string';
  return (
    isOptionalText(fields['bootId']) &&
    isOptionalText(fields['machineId']) &&
    typeof fields['hostname'] === 'string' &&
    typeof fields['pid'] === 'number' &&
    typeof fields['startedAt'] === 'string' &&
    typeof fields['released'] === 'boolean'
  );
}

/** Replaces the record; durable when it resolves. */
export async function writeOwnerRecord(directory: string, record: OwnerRecord): Promise<void> {
  const temporary = join(directory, TEMPORARY);
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(record, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, FILE));
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
