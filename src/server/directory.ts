/**
 * The data directory before it is owned: created if missing, readable only by its user, and its name durable. Without
 * the sync of its parents a power cut could take the whole directory, and every acknowledged update with it, although
 * each file inside was synced.
 */
import { mkdir, open, realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { reasonOf, StartError, systemCode } from './start-error.ts';

/**
 * Creates the directory with its parents, mode 0700, unless it exists.
 * @returns its absolute path without symbolic links.
 * @throws StartError if it cannot be created; whether it is writable shows at the first write
 */
export async function prepareDirectory(directory: string): Promise<string> {
  const path = requireUtf8(resolve(directory));
  try {
    const firstMade = await makeWithParents(path);
    if (firstMade !== undefined) await syncParents(path, firstMade);
    if (!(await stat(path)).isDirectory())
      throw directoryRefusal(path, Object.assign(new Error('not a directory'), { code: 'EEXIST' }));
    return requireUtf8(await realpath(path));
  } catch (error) {
    throw directoryRefusal(path, error);
  }
}

/** Node puts U+FFFD where a path is no UTF-8, which then leads elsewhere. @throws StartError */
export function requireUtf8(path: string): string {
  if (path.isWellFormed() && !path.includes('\uFFFD')) return path;
  throw new StartError(`directory ${path}: its path is no UTF-8, and cannot be used; name another directory`);
}

/**
 * Not `mkdir` with `recursive`, which takes a read-only file system for a missing parent, and never ends if a parent
 * exists but accepts no directories, such as /proc.
 * @returns the topmost created directory, undefined if all existed
 */
async function makeWithParents(path: string): Promise<string | undefined> {
  const made = await make(path);
  if (made !== 'no parent') return made === 'new' ? path : undefined;
  const firstMade = await makeWithParents(dirname(path));
  // The parents exist now, no matter which process created them; a directory that is still missing cannot be created.
  const madeNow = await make(path);
  if (madeNow === 'no parent') throw Object.assign(new Error('no directories can be made there'), { code: 'ENOENT' });
  return firstMade ?? (madeNow === 'new' ? path : undefined);
}

async function make(path: string): Promise<'new' | 'there' | 'no parent'> {
  try {
    await mkdir(path, { mode: 0o700 });
    return 'new';
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return 'there';
    if (systemCode(error) === 'ENOENT' && dirname(path) !== path) return 'no parent';
    throw error;
  }
}

/** From the parent of the first directory that was made down to the parent of the last one. */
async function syncParents(path: string, firstMade: string): Promise<void> {
  const end = dirname(firstMade);
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    const handle = await open(parent, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (parent === end || parent === dirname(parent)) return;
  }
}

/** The system's error about the data directory or a file in it, as a sentence that says what to do. */
export function directoryRefusal(path: string, cause: unknown): StartError {
  if (cause instanceof StartError) return cause;
  const because = (what: string): StartError => new StartError(`data directory ${path}: ${what}`, { cause });
  switch (systemCode(cause)) {
    case 'ENOENT':
      return because('it is gone, or no directories can be made there; name another directory');
    case 'EEXIST':
      return because('there is a file of that name; name a directory, or move the file away');
    case 'ENOTDIR':
      return because('a part of the path is a file; name another directory, or move the file away');
    case 'EACCES':
    case 'EPERM':
      return because('this user may not write there; change its owner or mode, or name another directory');
    case 'EROFS':
      return because('the file system is read-only; name a directory on another one');
    case 'ENOSPC':
      return because('the disk is full; free some space');
    default:
      return because(`cannot be used: ${reasonOf(cause)}; name another directory`);
  }
}
