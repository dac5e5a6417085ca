// The HTTP door of the real server from outside: curl as people use it, fetch, ten thousand idle connections, keys that
// outlive a crash.

import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { send } from '../http/door.ts';
import { ServerProcess, stopServers } from './server-process.ts';

const run = promisify(execFile);
/** Ten thousand, where the system lets one process have so many files open. */
const IDLE_CONNECTIONS = Math.min(10_000, filesMax() - 1_000);

function filesMax(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(limit);
}

let directory: string;
let server: ServerProcess;
let url: string;

async function start(flags: readonly string[] = [], environment: Record<string, string> = {}): Promise<void> {
  server = await ServerProcess.start({
    data: join(directory, 'data'),
    flags: ['--resp', 'off', ...flags],
    environment,
  });
  url = `http://${server.http?.host}:${server.http?.port}`;
}

/** Runs curl; `:` in front of an argument stands for the server. */
async function curl(...args: readonly string[]): Promise<string> {
  const full = args.map((arg) => (arg.startsWith(':') ? `${url}${arg.slice(1)}` : arg));
  const { stdout } = await run('curl', ['--silent', '--show-error', ...full], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-wire-http-'));
});
afterEach(stopServers);
afterAll(() => rm(directory, { recursive: true }));

describe('curl', () => {
  it('counts, in every shape', async () => {
    await start();
    expect(await curl('-X', 'POST', ':/v1/counters/likes:42/increment')).toBe(
      '{"name":"likes:42","value":1,"applied":1}',
    );
    expect(await curl(':/v1/counters/likes:42/increment', '-d', '{"by": 5}')).toContain('"value":6,"applied":5');
    expect(await curl(':/v1/counters/likes:42/decrement', '--json', '{"by": 2}')).toContain('"value":4,"applied":-2');
    expect(await curl(':/v1/counters/likes:42')).toBe('{"name":"likes:42","value":4,"exists":true}');
    expect(await curl('-g', ':/v1/counters?name=likes:42&name=x[1]&numbers=string')).toBe(
      '{"counters":[{"name":"likes:42","value":"4","exists":true},{"name":"x[1]","value":"0","exists":false}]}',
    );
    expect(await curl('-X', 'PUT', ':/v1/counters/likes:42', '-d', '{"value": 0}')).toContain('"value":0,"previous":4');
    expect(await curl('-X', 'DELETE', ':/v1/counters/likes:42')).toContain('"deleted":true');
    expect(await curl('-I', ':/v1/counters/likes:42')).toContain('etag: "absent"');
  });

  it('speaks the shapes of the requirement documents', async () => {
    await start();
    expect(await curl('-X', 'POST', ':/counter/increment', '-d', '{ "value": 1 }')).toBe(
      '{"success":true,"new_value":1}',
    );
    expect(await curl('-X', 'POST', ':/counter/decrement', '-d', '{ "value": 2 }')).toBe(
      '{"success":true,"new_value":-1}',
    );
    expect(await curl(':/counter/value')).toBe('{"current_value":-1}');
    const action = (what: string): string => JSON.stringify({ action: what });
    const answer = await curl('-i', '--compressed', '-X', 'PUT', ':/v1/post_id/counter', '-d', action('increment'));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/^content-encoding: gzip\r$/m);
    expect(answer).toMatch(/^content-type: application\/json/m);
    expect(answer).toMatch(/\r\n\r\n\{"count":1,"updated_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}$/);
    expect(await curl('-X', 'PUT', ':/v1/post_id/counter', '-d', action('decrement'))).toContain('{"count":0,');
    expect(await curl(':/v1/post_id/counter')).toContain('{"count":0,"updated_at":"2');
  });

  it('sends large batches, which it announces first, and gets an answer for each entry', async () => {
    await start();
    const lines = Array.from({ length: 10_000 }, (_, i) => JSON.stringify({ name: `${'n'.repeat(240)}:${i}`, by: i }));
    const file = join(directory, 'batch.ndjson');
    await writeFile(file, `${lines.join('\n')}\n`);
    const headers = ['-H', 'content-type: application/x-ndjson', '-H', 'expect: 100-continue'];
    const answer = JSON.parse(await curl(':/v1/batch', '--data-binary', `@${file}`, ...headers)) as {
      results: { value: number }[];
    };
    expect(answer.results.map(({ value }) => value)).toEqual(lines.map((_, i) => i));

    await writeFile(file, ' '.repeat(20 * 1024 * 1024));
    const refused = await curl('-w', '%{http_code}', ':/v1/batch', '--data-binary', `@${file}`);
    expect(refused).toContain('"code":"body_too_large"');
    expect(refused).toMatch(/413$/);
  });

  it('shows a secret where one is asked for', async () => {
    await start([], { TALLYD_SECRET: 'open-sesame' });
    expect(await curl(':/livez')).toContain('ok');
    expect(await curl('-w', '%{http_code}', ':/v1/info')).toMatch(/"code":"unauthorized".*401$/);
    expect(await curl(':/v1/info', '-H', 'authorization: Bearer open-sesame')).toContain('"state":"open"');
  });
});

it('a key outlives a crash: the retry counts once and gets the same bytes', async () => {
  await start();
  const port = (): number => server.http?.port ?? 0;
  const headers = { 'idempotency-key': '"8e03978e-40d5-43dd-bc93-6894a57f9324"' };
  const first = await send(port(), 'POST', '/v1/counters/once/increment', '{"by":7}', headers);
  const chunk = { 'tallyd-import-chunk': 'c0ffee' };
  await send(port(), 'POST', '/v1/batch', '{"name":"once","by":100,"id":"e1"}\n', chunk);
  await server.end('SIGKILL');
  await start();
  const again = await send(port(), 'POST', '/v1/counters/once/increment', '{"by":7}', headers);
  expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([200, first.text, 'true']);
  const chunkAgain = await send(port(), 'POST', '/v1/batch', '{"name":"once","by":100,"id":"e1"}\n', chunk);
  expect(chunkAgain.text).toBe('{"results":[],"refused":0,"replayed":true}');
  const eventAgain = await send(port(), 'POST', '/v1/batch', '[{"name":"once","by":100,"id":"e1"}]');
  expect(eventAgain.text).toContain('"value":107,"applied":100,"replayed":true}');
  expect(await curl(':/v1/counters/once')).toContain('"value":107');
});

it('fetch reaches any name that a URL can carry, and the others by query and batch', async () => {
  await start();
  for (const name of ['a/b', '../x', '%2e', 'ü', '\0', '?#&=+ ', '%']) {
    const answer = await fetch(`${url}/v1/counters/${encodeURIComponent(name)}/increment`, { method: 'POST' });
    expect(await answer.json()).toEqual({ name, value: 1, applied: 1 });
  }
  for (const name of ['.', '..']) {
    await fetch(`${url}/v1/batch`, { method: 'POST', body: JSON.stringify([{ name, by: 3 }]) });
    const answer = await fetch(`${url}/v1/counters?${new URLSearchParams({ name })}`);
    expect(await answer.json()).toEqual({ counters: [{ name, value: 3, exists: true }] });
  }
});

it(`serves beside ${IDLE_CONNECTIONS} idle connections, and stops in spite of them`, async () => {
  await start();
  const idle: Socket[] = [];
  const used: Socket[] = [];
  // A reset closes the socket, which is looked at below.
  const open = (): Socket => connect({ host: '127.0.0.1', port: server.http?.port ?? 0 }).on('error', () => undefined);
  while (idle.length + used.length < IDLE_CONNECTIONS) {
    // Half of them have asked for something before.
    const [fresh, asking] = [Array.from({ length: 125 }, open), Array.from({ length: 125 }, open)];
    await Promise.all([...fresh, ...asking].map((socket) => once(socket, 'connect')));
    for (const socket of asking) socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    await Promise.all(asking.map((socket) => once(socket, 'data')));
    idle.push(...fresh);
    used.push(...asking);
  }
  expect(await curl('-X', 'POST', ':/v1/counters/busy/increment')).toContain('"value":1');
  // Those that never asked for anything may be cut off meanwhile: the machine may be slow.
  expect(used.filter((socket) => socket.destroyed)).toEqual([]);
  expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
  for (const socket of [...idle, ...used]) socket.destroy();
});
