/**
 * `owner.json`: the last owner of the data directory. A socket shows whether an owner is alive only on its own host; a
 * directory on shared or moved storage must also record where its last owner ran, and whether it stopped cleanly.
 * Replaced as a whole, with a checksum (`small-file.ts`); files of earlier versions have none.
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { DirectoryLost, type Disk } from '../host/host.ts';
import { DamageError } from '../journal/errors.ts';
import { recover, repairTail } from '../journal/recovery.ts';
import { decodeSmallFile, encodeSmallFile, readSmallFile, replaceSmallFile } from '../journal/small-file.ts';
import { NOTHING } from '../journal/snapshot-reader.ts';
import { isFlag, isForm, isText, isWhole, wrongField } from '../std/shape.ts';
import { reasonOf, StartError, systemCode } from './start-error.ts';

export const OWNER_FILE = 'owner.json';
const PID_MAX = 2 ** 32;
const isShort = isText(1024);
const DOCUMENT = {
  required: {
    hostname: isShort,
    pid: isWhole(0, PID_MAX),
    startedAt: isForm(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    released: isFlag,
  },
  optional: { bootId: isShort, machineId: isShort, socket: isForm(/^owner\.[0-9a-f]{16}\.sock$/) },
};

/** Identifies this host, and its boot. Undefined: not available. */
export interface Machine {
  readonly bootId: string | undefined;
  readonly machineId: string | undefined;
  readonly hostname: string;
}

export interface OwnerDocument extends Machine {
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Whether it stopped cleanly and released the directory. */
  readonly released: boolean;
  /** The file of its socket; earlier versions did not say. */
  readonly socket?: string | undefined;
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
 * Whether `last` was written on this host. The same boot is the same host, regardless of a container's name; after a
 * reboot the machine's id and name must match.
 */
export function isSameHost(last: Machine, now: Machine): boolean {
  if (last.bootId !== undefined && last.bootId === now.bootId) return true;
  const sameId = last.machineId === undefined || now.machineId === undefined || last.machineId === now.machineId;
  return sameId && last.hostname === now.hostname;
}

/**
 * The last owner's document, or undefined when nobody ever owned the directory. @throws DamageError, the system's
 * errors
 */
export async function readOwnerDocument(disk: Disk): Promise<OwnerDocument | undefined> {
  const bytes = await readSmallFile(disk, OWNER_FILE);
  if (bytes === undefined) return undefined;
  const { content } = decodeSmallFile(OWNER_FILE, bytes);
  const wrong = wrongField(content, DOCUMENT);
  if (wrong !== undefined) throw new DamageError(OWNER_FILE, 0, `its field "${wrong}" is not what it must be`);
  return content as unknown as OwnerDocument;
}

/** The refusal of a directory whose document cannot be read. */
export function unknownOwner(directory: string, cause: unknown): StartError {
  const isDamaged = cause instanceof DamageError;
  const why = isDamaged
    ? `is damaged at offset ${cause.offset} (${cause.reason})`
    : `cannot be read (${reasonOf(cause)})`;
  return new StartError(
    `data directory ${directory}: ${OWNER_FILE} ${why}, so its last owner is unknown; ` +
      'make sure that no other host uses the directory, then start with --take-over',
    { cause },
  );
}

/** Replaces the document; durable when it resolves. */
export function writeOwnerDocument(disk: Disk, document: OwnerDocument): Promise<void> {
  return replaceSmallFile(disk, OWNER_FILE, encodeSmallFile(document));
}

/**
 * Like `writeOwnerDocument`, but also works on a full disk if a crash left allocated space after the end of the
 * journal.
 */
export async function writeFirstDocument(disk: Disk, document: OwnerDocument): Promise<void> {
  try {
    await writeOwnerDocument(disk, document);
  } catch (error) {
    if (systemCode(error) !== 'ENOSPC') throw error;
    const { tail } = await recover(disk, NOTHING);
    if (tail === undefined) throw error;
    await repairTail(disk, tail);
    await writeOwnerDocument(disk, document);
  }
}

/** @throws DirectoryLost when the file does not hold this document any more, and the system's errors */
export async function requireOwnDocument(disk: Disk, document: OwnerDocument): Promise<void> {
  const bytes = await readSmallFile(disk, OWNER_FILE);
  if (bytes !== undefined && Buffer.compare(bytes, encodeSmallFile(document)) === 0) return;
  throw new DirectoryLost(
    `${OWNER_FILE} was ${bytes === undefined ? 'removed' : 'replaced'} under the running process, so another process may have taken the data directory; ` +
      'nothing is counted here any more: stop this process, and start it again when no other one uses the directory',
  );
}
