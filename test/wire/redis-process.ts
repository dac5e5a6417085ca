// A redis-server of the test's own, to compare with.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from './free-port.ts';
import type { Address } from './server-process.ts';

/** Settings as the program takes them. */
export function flagsOf(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

const running = new Set<RedisProcess>();

/** Stops what this file has started and nobody has stopped, also when a test failed halfway. */
export async function stopRedisProcesses(): Promise<void> {
  await Promise.all(Array.from(running, (server) => server.stop()));
}

export class RedisProcess {
  readonly address: Address;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: Address) {
    this.#child = child;
    this.address = address;
    running.add(this);
  }

  /** Starts an empty one, without files, with the further settings; on that port, or on a free one. */
  static async start(directory: string, settings: readonly string[] = [], onPort?: number): Promise<RedisProcess> {
    const port = onPort ?? (await freePort());
    const own = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--databases', '1', '--dir', directory];
    return RedisProcess.launch(port, [...own, ...settings], 'Ready to accept connections');
  }

  /** Starts one that listens there and tells by these words that it is ready. */
  static async launch(port: number, settings: readonly string[], readyWords: string): Promise<RedisProcess> {
    const child = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'ignore'] });
    const server = new RedisProcess(child, { host: '127.0.0.1', port });
    child.stdout.setEncoding('utf8');
    const exited = once(child, 'exit');
    let output = '';
    while (!output.includes(readyWords)) {
      const [event] = await Promise.race([once(child.stdout, 'data'), exited]);
      if (typeof event !== 'string') throw new Error(`redis-server did not start: ${output}`);
      output += event;
    }
    child.stdout.resume();
    return server;
  }

  /** Answers nobody any more, and keeps all connections, until `resume`. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Kills it, which may have happened already. */
  async stop(): Promise<void> {
    running.delete(this);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
