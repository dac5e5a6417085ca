// The real server as tests see it: a process that is started, told where it listens by its ready line, and stopped
// or killed. `stopServers` in an `afterEach` leaves none behind, whatever failed.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const TALLYD = fileURLToPath(new URL('../../bin/tallyd.js', import.meta.url));

const READY = /^tallyd ready http=(\S+) resp=(\S+) data=(.+)\n/;
const started = new Set<ServerProcess>();

export interface StartOptions {
  readonly data: string;
  /** Further flags; the doors take free ports unless these say otherwise. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The command line's script; by default that of this checkout. */
  readonly script?: string;
  /** A program with its arguments that runs the server, as strace does. */
  readonly under?: readonly string[];
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export class ServerProcess {
  /** As the ready line says; undefined when the door is off. */
  readonly http: Address | undefined;
  readonly resp: Address | undefined;
  readonly directory: string;
  /** Of the server itself, also when it runs under another program. */
  readonly pid: number;
  /** Resolves when the process is gone. */
  readonly ended: Promise<Ended>;
  readonly #output: { stdout: string; stderr: string };

  private constructor(output: ServerProcess['output'], ended: Promise<Ended>, ready: string[]) {
    this.#output = output;
    this.ended = ended;
    this.http = address(ready[1]);
    this.resp = address(ready[2]);
    this.directory = ready[3] ?? '';
    const owner = JSON.parse(readFileSync(join(this.directory, 'owner.json'), 'utf8')) as { pid: number };
    this.pid = owner.pid;
    started.add(this);
    void ended.then(() => started.delete(this));
  }

  /** Resolves when the server is ready; rejects with what it wrote when it ends before. */
  static async start(options: StartOptions): Promise<ServerProcess> {
    const flags = ['--http', '127.0.0.1:0', '--resp', '127.0.0.1:0', '--data', options.data, ...(options.flags ?? [])];
    const command = [...(options.under ?? []), process.execPath, options.script ?? TALLYD, 'serve', ...flags];
    const { child, output, ended } = run(command, options.environment);
    let ready: RegExpExecArray | null = null;
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    while (ready === null && !isOver) {
      await Promise.race([once(child.stdout ?? child, 'data'), ended]);
      ready = READY.exec(output.stdout);
    }
    if (ready === null) throw new Error(`the server did not start: ${JSON.stringify(await ended)}\n${output.stderr}`);
    return new ServerProcess(output, ended, ready);
  }

  /** Everything it wrote so far. */
  get output(): { stdout: string; stderr: string } {
    return this.#output;
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<Ended> {
    this.signal(signal);
    return this.ended;
  }

  /** Sends a signal to the server itself, not to a program that it runs under. */
  signal(signal: NodeJS.Signals): void {
    if (started.has(this)) process.kill(this.pid, signal);
  }
}

/** Kills every server that a test has left. */
export async function stopServers(): Promise<void> {
  await Promise.all([...started].map((server) => server.end('SIGKILL')));
}

/** Runs `tallyd` with these arguments to its end. */
export async function runTallyd(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended & { stdout: string; stderr: string }> {
  const { output, ended } = run([process.execPath, TALLYD, ...args], environment);
  return { ...(await ended), ...output };
}

function run(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): { child: ChildProcess; output: { stdout: string; stderr: string }; ended: Promise<Ended> } {
  // Settings of whoever runs the tests must not reach the server.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(TALLYD_|NODE_OPTIONS$|VITEST)/.test(name));
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return { child, output, ended };
}

function address(text: string | undefined): Address | undefined {
  if (text === undefined || text === 'off') return undefined;
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}
