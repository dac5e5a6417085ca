/**
 * How each server is started: as its manual says, pinned to one core, on a free port of the loopback interface and on
 * a directory of its own. Where one had to be treated better than the other, it is Redis: its append-only file is not
 * rewritten during a measurement, while Tallyd goes on writing its snapshots.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { unreachable } from '../../src/std/assert.ts';
import type { Supervisor } from '../machine/supervisor.ts';
import type { Server, SetupName } from './server.ts';

const TALLYD = fileURLToPath(new URL('../../bin/tallyd.js', import.meta.url));
const EMPTY_ROUTE = fileURLToPath(new URL('./empty-route.ts', import.meta.url));
const REDIS_READY = /Ready to accept connections/;
const TALLYD_READY = /^tallyd ready http=\S+:(\d+) resp=\S+:(\d+) /m;
const ROUTE_READY = /^ready http=(\d+)$/m;

/** Starts a server on `directory` and waits until it takes traffic. `nodeOptions` are for Tallyd. */
export async function startServer(
  setup: SetupName,
  directory: string,
  supervisor: Supervisor,
  core: number | undefined,
  nodeOptions: readonly string[] = [],
): Promise<Server> {
  switch (setup) {
    case 'redis-off':
      return startRedis(['--save', '', '--appendonly', 'no'], directory, supervisor, core);
    case 'redis-always': {
      const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0'];
      return startRedis(['--save', '', ...durable], directory, supervisor, core);
    }
    case 'redis-snapshot':
      // As good as never by itself; SAVE and the clean stop write it.
      return startRedis(['--save', '31536000 1', '--appendonly', 'no'], directory, supervisor, core);
    case 'tallyd-off':
    case 'tallyd-interval':
    case 'tallyd-always':
      return startTallyd(setup.slice('tallyd-'.length), directory, supervisor, core, nodeOptions);
    case 'empty-route':
      return startEmptyRoute(supervisor, core);
    default:
      return unreachable(setup);
  }
}

async function startRedis(
  options: readonly string[],
  directory: string,
  supervisor: Supervisor,
  core: number | undefined,
): Promise<Server> {
  const port = await freePort();
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', directory];
  const since = performance.now();
  const start = { command: 'redis-server', args: [...place, ...options], core };
  const { child } = await supervisor.startUntil(start, REDIS_READY);
  return serverOf(child, supervisor, { respPort: port, httpPort: undefined, readyMs: performance.now() - since });
}

async function startTallyd(
  durability: string,
  directory: string,
  supervisor: Supervisor,
  core: number | undefined,
  nodeOptions: readonly string[],
): Promise<Server> {
  const place = ['--http', '127.0.0.1:0', '--resp', '127.0.0.1:0', '--data', directory];
  const args = [...nodeOptions, TALLYD, 'serve', ...place, '--durability', durability, '--log-level', 'warn'];
  const since = performance.now();
  const { child, match } = await supervisor.startUntil({ command: process.execPath, args, core }, TALLYD_READY);
  const readyMs = performance.now() - since;
  return serverOf(child, supervisor, { httpPort: Number(match[1]), respPort: Number(match[2]), readyMs });
}

async function startEmptyRoute(supervisor: Supervisor, core: number | undefined): Promise<Server> {
  const since = performance.now();
  const start = { command: process.execPath, args: [EMPTY_ROUTE], core };
  const { child, match } = await supervisor.startUntil(start, ROUTE_READY);
  const readyMs = performance.now() - since;
  return serverOf(child, supervisor, { httpPort: Number(match[1]), respPort: undefined, readyMs });
}

function serverOf(
  child: ChildProcess,
  supervisor: Supervisor,
  facts: Pick<Server, 'respPort' | 'httpPort' | 'readyMs'>,
): Server {
  if (child.pid === undefined) throw new Error('a process that is ready has a pid');
  return {
    pid: child.pid,
    ...facts,
    stop: () => supervisor.stop(child),
    kill: () => supervisor.stop(child, 'SIGKILL'),
  };
}

/** A port that nobody has right now. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP port is a number');
  return address.port;
}
