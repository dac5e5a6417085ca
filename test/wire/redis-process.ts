// A redis-server of the test's own, to compare with.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Address } from './server-process.ts';

/** Whether the program is installed on this machine. */
export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}

export class RedisProcess {
  readonly address: Address;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: Address) {
    this.#child = child;
    this.address = address;
  }

  /** Starts an empty one, without files, with the further settings. */
  static async start(directory: string, settings: readonly string[] = []): Promise<RedisProcess> {
    const port = await freePort();
    const own = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--databases', '1', '--dir', directory];
    const child = spawn('redis-server', [...own, ...settings], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.setEncoding('utf8');
    let output = '';
    while (!output.includes('Ready to accept connections')) {
      const [event] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
      if (typeof event !== 'string') throw new Error(`redis-server did not start: ${output}`);
      output += event;
    }
    return new RedisProcess(child, { host: '127.0.0.1', port });
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return address.port;
}
