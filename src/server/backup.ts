/**
 * `tallyd backup DIR TARGET`: a copy of a data directory that a server may be using, as of a moment after the command
 * began. It is written beside its target, read back, and renamed when all of it is durable.
 */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { Identity, readIdentity } from '../exchange/identity.ts';
import { KeptCuts } from '../exchange/kept-cuts.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { HeldJournal, type JournalCopy } from '../journal/copy.ts';
import { DamageError, UnsupportedFormatError } from '../journal/errors.ts';
import { recover } from '../journal/recovery.ts';
import { NOTHING } from '../journal/snapshot-reader.ts';
import { assert } from '../std/assert.ts';
import { requireUtf8 } from './directory.ts';
import { host } from './open-engine.ts';
import { ExitCode, reasonOf, StartError, systemCode } from './start-error.ts';

/** `replica.json` is rarely written; if it changes during a copy, the copy starts again. */
const TRIES = 20;

/**
 * Copies a data directory and reports what was copied.
 * @throws StartError if there is nothing to copy, it is damaged, or the copy cannot be written
 */
export async function backupCommand(directory: string, target: string, asJson: boolean): Promise<ExitCode> {
  const from = await readable(directory);
  const to = await freshPlace(from, target);
  const unfinished = join(dirname(to), `.${basename(to)}.${randomBytes(4).toString('hex')}.unfinished`);
  try {
    await mkdir(unfinished, { mode: 0o700 }).catch((error: unknown) => {
      throw new StartError(`${target} cannot be made: ${reasonOf(error)}; name a place where this user can write`);
    });
    const { files, bytes, sequence } = await copyDirectory(from, unfinished);
    await rename(unfinished, to);
    await syncDirectory(dirname(to));
    const report = { directory: from, target: to, files, bytes, sequence: `${sequence}` };
    process.stdout.write(
      asJson
        ? `${JSON.stringify(report)}\n`
        : `${to} has everything through group ${sequence}: ${files} files, ${bytes} bytes\n`,
    );
    return ExitCode.done;
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw refusal(directory, error);
  }
}

/** The absolute path of a directory whose files can be listed. */
async function readable(directory: string): Promise<string> {
  try {
    const path = requireUtf8(await realpath(requireUtf8(directory)));
    await readdir(path);
    return path;
  } catch (error) {
    if (error instanceof StartError) throw error;
    const advice = 'name a data directory that this user can read';
    throw new StartError(`${directory} cannot be backed up: ${reasonOf(error)}; ${advice}`, { cause: error });
  }
}

/** The absolute path of a directory that does not exist yet. */
async function freshPlace(from: string, target: string): Promise<string> {
  const path = requireUtf8(resolve(target));
  const parent = await realpath(dirname(path)).catch((error: unknown) => {
    throw new StartError(
      `${target}: the directory that it is to lie in cannot be used: ${reasonOf(error)}; make it, or name another place`,
    );
  });
  const to = join(parent, basename(path));
  if (to === from || to.startsWith(from + sep)) {
    throw new StartError(`${target} lies in ${from}: name a place outside of what is copied`);
  }
  const isThere = await lstat(to).then(
    () => true,
    () => false,
  );
  if (isThere) throw new StartError(`${target} is there already: name a directory that is not`);
  return to;
}

async function copyDirectory(from: string, unfinished: string): Promise<JournalCopy> {
  const source = new NodeDisk(from);
  const target = new NodeDisk(unfinished);
  const { journal, identity } = await hold(source);
  let copy: JournalCopy;
  try {
    if (journal.isEmpty) throw new StartError(`there is no journal in ${from}: name a data directory`);
    copy = await journal.copyTo(target, host.clock);
  } finally {
    await journal.close();
  }
  if (identity !== undefined) await Identity.writeCopy(target, identity);
  await KeptCuts.copy(source, target);
  await target.syncDirectory();
  const { sequence } = await recover(target, NOTHING);
  assert(sequence === copy.sequence, 'a copy holds what was copied');
  return copy;
}

/**
 * The journal and `replica.json` as they were at one moment: what is counted under an ordinal comes after the file has
 * it.
 */
async function hold(source: NodeDisk): Promise<{ journal: HeldJournal; identity: Uint8Array | undefined }> {
  for (let attempt = 1; ; attempt++) {
    const identity = await readIdentity(source);
    const journal = await HeldJournal.open(source);
    if (isSame(await readIdentity(source), identity)) return { journal, identity };
    await journal.close();
    if (attempt === TRIES) throw new StartError('replica.json changes all the time: try again');
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function refusal(directory: string, error: unknown): unknown {
  if (error instanceof StartError) return error;
  const isOfFiles = error instanceof DamageError || error instanceof UnsupportedFormatError;
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!isOfFiles && systemCode(error) === undefined && systemCode(cause) === undefined) return error;
  return new StartError(`${directory} cannot be backed up: ${reasonOf(error)}`, { cause: error });
}
