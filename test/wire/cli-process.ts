// The CLI as its users run it: a process with a stdin that can be fed bit by bit, and killed in the middle.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { TALLYD } from './server-process.ts';

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class CliProcess {
  readonly ended: Promise<CliResult>;
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(TALLYD_|NODE_OPTIONS$|VITEST)/.test(name));
    this.#child = spawn(process.execPath, [TALLYD, ...args], {
      env: { ...Object.fromEntries(inherited), ...environment },
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      this.#child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    // A process that ends early leaves nobody to read what it is fed; each write is told so too.
    this.#child.stdin.on('error', () => {});
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({ code, signal, ...output }));
  }

  /** Writes to its stdin, at the pace at which it reads; a process that has ended takes everything. */
  async feed(text: string | Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#child.stdin.write(text, () => resolve()));
  }

  /** Ends its stdin and waits for its end. */
  async finish(): Promise<CliResult> {
    this.#child.stdin.end();
    return this.ended;
  }

  /** Reads the first of its output and leaves, as `head` does. */
  async leaveAfterFirstOutput(): Promise<CliResult> {
    await once(this.#child.stdout, 'data');
    this.#child.stdout.destroy();
    return this.finish();
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<CliResult> {
    this.#child.kill(signal);
    return this.ended;
  }
}

/** Runs the CLI to its end. */
export async function cli(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  stdin: string | Uint8Array = '',
): Promise<CliResult> {
  const process = new CliProcess(args, environment);
  await process.feed(stdin);
  return process.finish();
}
