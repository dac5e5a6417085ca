/**
 * Everything that a benchmark starts and makes on disk, so that all of it goes away again: at the end, on an error,
 * and on Ctrl-C. What is still there when this process ends is killed and removed synchronously, for nothing
 * asynchronous runs any more then.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pinned } from './processor.ts';

/** A server may have to write everything that it holds before it ends. */
const STOP_MS_MAX = 180_000;
const STDERR_CHARACTERS_MAX = 4_000;
/** Where fdatasync costs nothing, durability must not be measured. */
const TMPFS_MAGIC = 0x01021994;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export interface Start {
  readonly command: string;
  readonly args: readonly string[];
  readonly core: number | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

export class Supervisor {
  readonly #children = new Set<ChildProcess>();
  readonly #directories = new Set<string>();
  readonly #base: string;

  /** @param fallback where temporary files go when the system's place for them is no disk */
  constructor(fallback: string) {
    this.#base = statfsSync(tmpdir()).type === TMPFS_MAGIC ? fallback : tmpdir();
    process.once('exit', () => this.#end());
    for (const signal of SIGNALS) {
      process.once(signal, () => {
        process.stderr.write(`${signal}: stopping what was started\n`);
        process.exit(130);
      });
    }
  }

  /** A fresh directory on a real disk. */
  temporaryDirectory(): string {
    mkdirSync(this.#base, { recursive: true });
    const directory = mkdtempSync(join(this.#base, 'tallyd-bench-'));
    this.#directories.add(directory);
    return directory;
  }

  removeDirectory(directory: string): void {
    rmSync(directory, { recursive: true, force: true });
    this.#directories.delete(directory);
  }

  /** Starts a program, pinned to its core. */
  start({ command, args, core, env = {} }: Start, options: SpawnOptions): ChildProcess {
    const [program, all] = pinned(core, command, args);
    const child = spawn(program, all, { ...options, env: { ...process.env, ...env } });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    // A program that is not there: whoever waits for it hears of it by the same event.
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  /** Starts a program and waits for a line of its stdout that matches; the match is the answer. */
  async startUntil(start: Start, ready: RegExp): Promise<{ child: ChildProcess; match: RegExpExecArray }> {
    const child = this.start(start, { stdio: ['ignore', 'pipe', 'pipe'] });
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    let said = '';
    let complained = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-STDERR_CHARACTERS_MAX);
      const match = ready.exec(said);
      if (match !== null) resolve(match);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complained = (complained + text).slice(-STDERR_CHARACTERS_MAX);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      reject(
        new Error(`${basename(start.command)} ended (${signal ?? code}) before it was ready:\n${said}${complained}`),
      );
    });
    return { child, match: await promise };
  }

  /** Ends a child by a signal and waits until it is gone. */
  async stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    child.kill(signal);
    await gone;
    clearTimeout(overdue);
  }

  /** What a measurement that broke off has left running, and its files. */
  async stopAllBut(pid: number | undefined): Promise<void> {
    const left = [...this.#children].filter((child) => child.pid !== pid);
    await Promise.all(left.map((child) => this.stop(child, 'SIGKILL')));
    for (const directory of [...this.#directories]) this.removeDirectory(directory);
  }

  #end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const directory of this.#directories) rmSync(directory, { recursive: true, force: true });
  }
}
