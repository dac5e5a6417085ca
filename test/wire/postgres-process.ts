// A PostgreSQL server of the test's own, with a pgbouncer in front of it where a test wants one.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, type QueryResultRow } from 'pg';
import { findProgram } from '../programs.ts';
import { freePort } from './free-port.ts';

const HOST = '127.0.0.1';
const USER = 'tallyd';
export const PASSWORD = 'pa55 w@rd/never-shown';

/** Starts with an empty cluster: one superuser with a password, the database `postgres`. */
export class PostgresProcess {
  readonly port: number;
  readonly #directory: string;
  #running: Running | undefined;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.port = port;
  }

  /** @param root an empty directory, of which this makes its own subdirectory. */
  static async start(root: string, settings: readonly string[] = []): Promise<PostgresProcess> {
    const directory = join(root, 'postgres');
    await ownDirectory(root);
    await ownDirectory(directory);
    const passwordFile = join(root, 'password');
    await writeFile(passwordFile, PASSWORD);
    const cluster = ['-D', directory, '-U', USER, '-E', 'UTF8', '--locale=C', '--no-sync'];
    const access = ['--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    await promisify(execFile)(program('initdb'), [...cluster, ...access], { ...account(), cwd: root });
    const postgres = new PostgresProcess(directory, await freePort());
    await postgres.startAgain(settings);
    return postgres;
  }

  /** With another database, user or password where the test wants one. */
  url(parts: { readonly password?: string; readonly user?: string; readonly database?: string } = {}): string {
    return urlOf(this.port, parts);
  }

  /** For tests that look behind the store or get in its way. */
  connect(): Promise<Client> {
    return connect(this.url());
  }

  async sql<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = await this.connect();
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  }

  /** Writes the tables into a file. */
  async dump(file: string): Promise<void> {
    await promisify(execFile)(program('pg_dump'), [this.url(), '--schema=tallyd', `--file=${file}`]);
  }

  /** Puts the tables of a dump in the place of those that are there. */
  async restore(file: string): Promise<void> {
    const drop = 'DROP SCHEMA tallyd CASCADE';
    await promisify(execFile)(program('psql'), [
      this.url(),
      '--quiet',
      '-v',
      'ON_ERROR_STOP=1',
      '-c',
      drop,
      '-f',
      file,
    ]);
  }

  async startAgain(settings: readonly string[] = []): Promise<void> {
    const fixed = [`port=${this.port}`, `listen_addresses=${HOST}`, 'unix_socket_directories=', 'shared_buffers=32MB'];
    const args = ['-D', this.#directory, ...[...fixed, ...settings].flatMap((setting) => ['-c', setting])];
    this.#running = await Running.start('postgres', args, 'ready to accept connections');
  }

  /** Ends as after a crash: without saving anything but its log. */
  async stop(): Promise<void> {
    await this.#running?.stop('SIGQUIT');
    this.#running = undefined;
  }

  /** Answers nobody any more, and keeps all connections, until `resume`. */
  pause(): void {
    this.#running?.signalAll('SIGSTOP');
  }

  resume(): void {
    this.#running?.signalAll('SIGCONT');
  }
}

/** Hands out the server's connections per transaction. */
export class PgbouncerProcess {
  readonly #port: number;
  readonly #running: Running;

  private constructor(port: number, running: Running) {
    this.#port = port;
    this.#running = running;
  }

  /** Few connections to the server, so that clients share them. */
  static async start(root: string, server: PostgresProcess): Promise<PgbouncerProcess> {
    const port = await freePort();
    const directory = join(root, 'pgbouncer');
    await ownDirectory(directory);
    await writeFile(join(directory, 'users'), `"${USER}" "${PASSWORD}"\n`);
    const settings = [
      '[databases]',
      `* = host=${HOST} port=${server.port}`,
      '[pgbouncer]',
      `listen_addr = ${HOST}`,
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${join(directory, 'users')}`,
      'pool_mode = transaction',
      'default_pool_size = 3',
    ];
    const file = join(directory, 'pgbouncer.ini');
    await writeFile(file, `${settings.join('\n')}\n`);
    return new PgbouncerProcess(port, await Running.start('pgbouncer', [file], 'process up'));
  }

  url(): string {
    return urlOf(this.#port, {});
  }

  connect(): Promise<Client> {
    return connect(this.url());
  }

  stop(): Promise<void> {
    return this.#running.stop('SIGKILL');
  }
}

class Running {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(name: string, args: readonly string[], readyText: string): Promise<Running> {
    const child = spawn(program(name), args, { ...account(), stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
    child.stderr.setEncoding('utf8');
    let output = '';
    const ended = once(child, 'exit').then(() => undefined);
    while (!output.includes(readyText)) {
      const chunk = await Promise.race([once(child.stderr, 'data').then(([text]) => String(text)), ended]);
      if (chunk === undefined) throw new Error(`${name} did not start: ${output}`);
      output += chunk;
    }
    child.stderr.resume();
    return new Running(child);
  }

  /** To the program and the processes that it has started. */
  signalAll(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    // The program first, so that it starts no further ones meanwhile.
    process.kill(pid, signal);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    for (const child of children) {
      try {
        process.kill(Number(child), signal);
      } catch (error) {
        // It has ended since: the server, which goes on already, may have ended it.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }
}

function urlOf(port: number, { user = USER, password = PASSWORD, database = 'postgres' }): string {
  return `postgres://${user}:${encodeURIComponent(password)}@${HOST}:${port}/${database}`;
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

/** Neither program runs as root: a user without rights does it then. */
function account(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const [, , uid, gid] = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody') ?? [];
  if (uid === undefined || gid === undefined) throw new Error('no user without rights to run a server as');
  return { uid: Number(uid), gid: Number(gid) };
}

async function ownDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  const { uid, gid } = account();
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

function program(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}
