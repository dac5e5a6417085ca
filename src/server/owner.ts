/**
 * One process per data directory, without a lock that a crash could leave behind.
 *
 * Everyone who wants the directory listens on a Unix socket in it, under a name that nobody has used before:
 * a candidate. It owns the directory once it has looked at all others and found nobody alive:
 * - an owner lives: withdraw, refused;
 * - a candidate with a smaller name lives: withdraw, wait until there is none, try again;
 * - only candidates with greater names live: wait until they have withdrawn or one of them owns.
 *
 * Why two can never own: of two candidates one has put up its socket later, and its last look came later
 * still. The other's socket was there by then, and lived, and stays there for as long as it lives: names are
 * never used twice, so removing a dead one by name can't hit a live one. So the later one has seen the earlier.
 * Why somebody wins: the smallest live name withdraws for an owner only, all others withdraw for it.
 *
 * A socket listens first and gets its name then (rename): between `bind` and `listen` it would look dead.
 *
 * A socket's file can be removed by anybody. So the winner also listens under a name that is no file, where the system
 * has such; the owner puts its file up again when it looks (once a second, before each file that it creates) and misses
 * it; and who finds a record of a crash, but not the socket that the crash would have left, waits until a living owner
 * must have looked. An owner that finds another record than its own in `owner.json`, or none, has lost the directory:
 * its disk takes nothing any more.
 */
import { randomBytes } from 'node:crypto';
import { readdir, rename, unlink } from 'node:fs/promises';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Disk } from '../host/host.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { DamageError } from '../journal/errors.ts';
import { directoryRefusal, prepareDirectory } from './directory.ts';
import {
  isSameHost,
  type Machine,
  type OwnerDocument,
  readOwnerDocument,
  requireOwnDocument,
  thisMachine,
  unknownOwner,
  writeFirstDocument,
  writeOwnerDocument,
} from './owner-file.ts';
import { listenAt, nameWithoutFile, probe, SocketDirectory } from './owner-socket.ts';
import { StartError, systemCode } from './start-error.ts';

const ID_BYTES = 8;
const SOCKET_NAME = /^owner\.[0-9a-f]{16}\.sock$/;
/** Put up, but not under its name yet. */
const UNNAMED_SOCKET = /^owner\.[0-9a-f]{16}\.tmp$/;
const NAME_BYTES_MAX = 'owner..sock'.length + 2 * ID_BYTES;
/** Contenders that start together settle in milliseconds; who is still undecided then is stuck. */
const CONTEST_TIMEOUT_MS = 15_000;
const CONTEST_PAUSE_MS = 5;
/** A living owner has looked for its socket within this time, and put it up again. */
const OWNER_LOOKS_MS = 3_000;

export interface OwnerOptions {
  /** Take a directory that its last owner, on another host, did not release. */
  readonly takeOver?: boolean;
  /** The host that this process runs on; tests say another. */
  readonly machine?: Machine;
  /** How long an owner may take to look for its socket; tests say less. */
  readonly ownerLooksMs?: number;
}

/** A data directory that belongs to this process until `release`, or until the process ends. */
export interface Ownership {
  /** Absolute, without symbolic links. */
  readonly directory: string;
  /**
   * Looks whether the directory is still this process's, and puts up its socket again where that is missing. @throws
   * DirectoryLost, the system's errors
   */
  check(): Promise<void>;
  /** Gives the directory away; `owner.json` then says that it was left cleanly. Call it when the journal is closed. */
  release(): Promise<void>;
}

/**
 * Makes the directory when it is missing, and takes it.
 * @throws StartError when another process has it, or had it last on another host, or it cannot be used
 */
export async function takeOwnership(directory: string, options: OwnerOptions = {}): Promise<Ownership> {
  const path = await prepareDirectory(directory);
  const machine = options.machine ?? (await thisMachine());
  const sockets = await SocketDirectory.open(path, NAME_BYTES_MAX).catch((error: unknown) => {
    throw directoryRefusal(path, error);
  });
  const contest = new Contest(path, sockets);
  const disk = new NodeDisk(path);
  try {
    const socket = await contest.win();
    const last = await readLast(path, disk, options.takeOver === true);
    if (last !== undefined && options.takeOver !== true) refuseForeign(path, last, machine);
    if (last !== undefined && mayLive(last, machine, contest))
      await contest.lookAgain(options.ownerLooksMs ?? OWNER_LOOKS_MS);
    const record = { ...machine, pid: process.pid, startedAt: new Date().toISOString(), socket };
    const own = { ...record, released: false };
    await writeFirstDocument(disk, own);
    return {
      directory: path,
      async check(): Promise<void> {
        await requireOwnDocument(disk, own);
        await contest.keepUp();
      },
      async release(): Promise<void> {
        try {
          await requireOwnDocument(disk, own);
          await writeOwnerDocument(disk, { ...record, released: true });
        } finally {
          await contest.withdraw();
          await sockets.close();
        }
      },
    };
  } catch (error) {
    // Why it cannot be taken matters more than a socket that stays: nobody listens at it when the process is gone.
    await Promise.allSettled([contest.withdraw()]);
    await sockets.close();
    throw directoryRefusal(path, error);
  }
}

/** The process id of the live owner, 0 when it does not tell, or undefined when there is none. Changes nothing. */
export async function findOwner(directory: string): Promise<number | undefined> {
  const sockets = await SocketDirectory.open(directory, NAME_BYTES_MAX);
  try {
    for (const name of await socketNames(directory)) {
      const answer = await probe(sockets.path(name));
      if ('pid' in answer) return answer.pid ?? 0;
    }
    return undefined;
  } finally {
    await sockets.close();
  }
}

async function socketNames(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => SOCKET_NAME.test(name)).sort();
}

/** @throws StartError when there is a record that cannot be read, unless the directory is taken over */
async function readLast(path: string, disk: Disk, isTakenOver: boolean): Promise<OwnerDocument | undefined> {
  try {
    return await readOwnerDocument(disk);
  } catch (error) {
    if (isTakenOver && error instanceof DamageError) return undefined;
    throw unknownOwner(path, error);
  }
}

function refuseForeign(path: string, last: OwnerDocument, machine: Machine): void {
  if (last.released || isSameHost(last, machine)) return;
  throw new StartError(
    `data directory ${path} was last used on host ${last.hostname} since ${last.startedAt} and not left cleanly; ` +
      'make sure that nothing there still uses it, then start with --take-over',
  );
}

/**
 * A crash leaves the socket's file, and nobody listens there. Without the file the owner may live where its other name
 * is not seen.
 */
function mayLive(last: OwnerDocument, machine: Machine, contest: Contest): boolean {
  const { released, socket, bootId } = last;
  if (released || socket === undefined || contest.hasSeenDead(socket)) return false;
  return bootId === undefined || bootId === machine.bootId;
}

/** One process's part in the contest for a directory. */
class Contest {
  readonly #directory: string;
  readonly #sockets: SocketDirectory;
  readonly #endMs = performance.now() + CONTEST_TIMEOUT_MS;
  #owns = false;
  #own: { readonly id: string; readonly name: string; readonly server: Server } | undefined;
  /** Listens under the name that is no file. */
  #second: Server | undefined;
  #keeping: Promise<void> | undefined;
  readonly #dead = new Set<string>();

  constructor(directory: string, sockets: SocketDirectory) {
    this.#directory = directory;
    this.#sockets = sockets;
  }

  /** @returns the name of the socket by which this process owns the directory */
  async win(): Promise<string> {
    for (;;) {
      if (this.#own === undefined) {
        const { alive } = await this.#look();
        if (alive.length === 0) await this.#putUp();
        else await this.#pause();
        continue;
      }
      const own = this.#own.name;
      const { alive, dead } = await this.#look();
      if (alive.length === 0) {
        await this.#takeSecondName();
        this.#owns = true;
        for (const name of dead) await this.#remove(name);
        return own;
      }
      if (alive.some((name) => name < own)) await this.withdraw();
      await this.#pause();
    }
  }

  /** Whether the socket was found, and nobody listening there. */
  hasSeenDead(name: string): boolean {
    return this.#dead.has(name);
  }

  /** Looks whether another owner shows itself within this time. @throws StartError when it does */
  async lookAgain(afterMs: number): Promise<void> {
    await delay(afterMs);
    await this.#look();
  }

  /** Puts the socket up again where somebody has removed its file. What fails is tried again with the next look. */
  keepUp(): Promise<void> {
    this.#keeping ??= this.#keepUp().finally(() => {
      this.#keeping = undefined;
    });
    return this.#keeping;
  }

  async #keepUp(): Promise<void> {
    const own = this.#own;
    if (own === undefined || (await this.#isThere(own.name))) return;
    await Promise.allSettled([this.#putUp(own.id)]);
    if (this.#own !== own) own.server.close();
  }

  async #isThere(name: string): Promise<boolean> {
    return (await socketNames(this.#directory)).includes(name);
  }

  /** Takes the socket away, if there is one. */
  async withdraw(): Promise<void> {
    await this.#keeping;
    const own = this.#own;
    if (own === undefined) return;
    this.#own = undefined;
    this.#owns = false;
    this.#second?.close();
    await this.#remove(own.name);
    await new Promise<void>((resolve) => own.server.close(() => resolve()));
  }

  readonly #describe = (): string => `${this.#owns ? 'owner' : 'candidate'} ${process.pid}`;

  /** @throws StartError when an owner lives whose socket somebody has removed */
  async #takeSecondName(): Promise<void> {
    const path = await nameWithoutFile(this.#directory);
    while (path !== undefined && this.#second === undefined) {
      try {
        this.#second = await listenAt(path, this.#describe);
      } catch (error) {
        // Other systems have no such names, or lend none.
        if (systemCode(error) !== 'EADDRINUSE') return;
        const answer = await probe(path);
        if (answer.state === 'owner' || answer.state === 'silent') throw this.#inUse(answer.pid);
        // The process that has it is about to end, or to withdraw.
        await this.#pause();
      }
    }
  }

  async #putUp(id = randomBytes(ID_BYTES).toString('hex')): Promise<void> {
    const unnamed = `owner.${id}.tmp`;
    const name = `owner.${id}.sock`;
    const server = await listenAt(this.#sockets.path(unnamed), this.#describe).catch((error: unknown) => {
      throw this.#noSocket(error);
    });
    try {
      await rename(join(this.#directory, unnamed), join(this.#directory, name));
      this.#own = { id, name, server };
    } catch (error) {
      server.close();
      // An owner has cleaned up while this one was not listening yet; the next look finds it.
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }

  /** The other candidates, and what can be removed. @throws StartError when an owner lives */
  async #look(): Promise<{ alive: string[]; dead: string[] }> {
    const alive: string[] = [];
    const dead = (await readdir(this.#directory)).filter((name) => UNNAMED_SOCKET.test(name));
    for (const name of await socketNames(this.#directory)) {
      if (name === this.#own?.name) continue;
      const answer = await this.#ask(name);
      if (answer.state === 'dead') {
        dead.push(name);
        this.#dead.add(name);
      } else if (answer.state === 'owner' || answer.state === 'silent') throw this.#inUse(answer.pid);
      else if (answer.state !== 'gone') alive.push(name);
    }
    return { alive, dead };
  }

  async #ask(name: string): ReturnType<typeof probe> {
    try {
      return await probe(this.#sockets.path(name));
    } catch (error) {
      const code = systemCode(error) ?? 'unknown error';
      throw new StartError(
        `data directory ${this.#directory}: its owner's socket ${name} cannot be asked (${code}); ` +
          'start as the same user as the process that uses the directory, or stop that process',
        { cause: error },
      );
    }
  }

  async #remove(name: string): Promise<void> {
    try {
      await unlink(join(this.#directory, name));
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }

  /** Lets the others decide; an odd pause, so that nobody moves in step. */
  async #pause(): Promise<void> {
    if (performance.now() > this.#endMs) throw this.#inUse(undefined);
    await delay(CONTEST_PAUSE_MS * (1 + Math.random()));
  }

  /** Some shared file systems take files but no sockets; without one nobody could tell whether the owner lives. */
  #noSocket(cause: unknown): unknown {
    const code = systemCode(cause);
    if (code === undefined || ['EACCES', 'EROFS', 'ENOSPC'].includes(code)) return cause;
    return new StartError(
      `data directory ${this.#directory}: no Unix socket can be made in it (${code}); name one on a local file system`,
      { cause },
    );
  }

  #inUse(pid: number | undefined): StartError {
    if (pid === process.pid) {
      return new StartError(`data directory ${this.#directory} is already open in this process: close it first`);
    }
    const who = pid === undefined ? 'a process that does not answer' : `process ${pid}`;
    return new StartError(
      `data directory ${this.#directory} is in use by ${who}: stop it, or name another directory with --data`,
    );
  }
}
