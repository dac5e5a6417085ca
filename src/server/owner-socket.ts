/**
 * The Unix sockets through which contenders for a data directory find each other. A socket's file outlives its process,
 * but listening does not: if a connect succeeds, the process is alive; if it is refused, the process is dead for good.
 * A listener states in one line whether it is the owner or a candidate.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { StartError, systemCode } from './start-error.ts';

/** The longest path for `bind`, without the terminating zero. */
const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103;
/** A live process that does not answer within this time is stopped or busy, but still alive. */
const ANSWER_TIMEOUT_MS = 5_000;

/** `gone`: the file no longer exists; `dead`: nothing listens; `unsure`: it went away during the query. */
export type Answer =
  | { readonly state: 'gone' | 'dead' | 'unsure' }
  | { readonly state: 'candidate' | 'owner' | 'silent'; readonly pid: number | undefined };

/**
 * Gives every socket of one directory a path that is short enough. A directory whose path is too long is held
 * open, and its sockets are reached through `/proc/self/fd`.
 */
export class SocketDirectory {
  readonly #base: string;
  readonly #handle: FileHandle | undefined;

  private constructor(base: string, handle: FileHandle | undefined) {
    this.#base = base;
    this.#handle = handle;
  }

  /** @throws StartError when the path is too long for this system */
  static async open(directory: string, nameBytesMax: number): Promise<SocketDirectory> {
    if (Buffer.byteLength(directory) + 1 + nameBytesMax <= SOCKET_PATH_BYTES_MAX) {
      return new SocketDirectory(directory, undefined);
    }
    if (process.platform !== 'linux') {
      throw new StartError(
        `data directory ${directory}: the path is too long for a socket in it; ` +
          `name a directory with a path of at most ${SOCKET_PATH_BYTES_MAX - 1 - nameBytesMax} bytes`,
      );
    }
    const handle = await open(directory, 'r');
    return new SocketDirectory(`/proc/self/fd/${handle.fd}`, handle);
  }

  path(name: string): string {
    return join(this.#base, name);
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

/**
 * The path of a socket that is no file, so that nobody can remove it: on Linux the kernel has such names, per network
 * of containers. The kernel gives it free when the process ends. Undefined: the system has none.
 */
export async function nameWithoutFile(directory: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  const { dev, ino } = await stat(directory, { bigint: true });
  return `\0tallyd ${dev}:${ino}`;
}

/** Listens at `path` and tells everyone who connects `describe()`; does not keep the process alive. */
export function listenAt(path: string, describe: () => string): Promise<Server> {
  const server = createServer((socket) => {
    // The client may already be gone; ignore it.
    socket.on('error', () => socket.destroy());
    socket.end(`${describe()}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Exclusive: otherwise the workers of a cluster would share one path.
    server.listen({ path, backlog: 511, exclusive: true }, () => {
      server.off('error', reject);
      // For example out of file descriptors: the client then sees a live process that does not answer, which is
      // correct.
      server.on('error', () => undefined);
      server.unref();
      resolve(server);
    });
  });
}

/** Queries the listener at `path`. */
export function probe(path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ path });
    const answer = (value: Answer): void => {
      socket.setTimeout(0);
      socket.destroy();
      resolve(value);
    };
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => answer({ state: 'silent', pid: undefined }));
    socket.on('data', (part: string) => {
      text += part;
      const match = /^(owner|candidate) (\d+)\n/.exec(text);
      if (match !== null) answer({ state: match[1] as 'owner' | 'candidate', pid: Number(match[2]) });
    });
    socket.on('end', () => answer({ state: 'unsure' }));
    socket.on('error', (error) => {
      const code = systemCode(error);
      if (code === 'ENOENT') answer({ state: 'gone' });
      else if (code === 'ECONNREFUSED') answer({ state: 'dead' });
      // A full backlog: only a live process has one.
      else if (code === 'EAGAIN') answer({ state: 'silent', pid: undefined });
      else if (code === 'ECONNRESET' || code === 'EPIPE') answer({ state: 'unsure' });
      else reject(error);
    });
  });
}
