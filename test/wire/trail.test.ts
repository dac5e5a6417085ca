// What a server writes down about those who use it: nothing unless asked to, and then at the level that was asked for.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { urlOf } from './counting-clients.ts';
import { RawClient, words } from './raw-client.ts';
import { ServerProcess, stopServers } from './server-process.ts';

const LEVELS: Readonly<Record<number, string>> = { 30: 'info', 40: 'warn' };

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-trail-'));
});
afterEach(async () => {
  await stopServers();
  await rm(root, { recursive: true, force: true });
});

/** Uses both doors, and stops. @returns the lines about that */
async function use(...flags: readonly string[]): Promise<Record<string, unknown>[]> {
  const environment = { TALLYD_SECRET: 's' };
  const server = await ServerProcess.start({ data: join(root, `data${flags.length}`), flags, environment });
  const call = async (method: string, path: string, secret = 's', body?: string): Promise<void> => {
    await (
      await fetch(`${urlOf(server)}${path}`, {
        method,
        headers: { authorization: `Bearer ${secret}` },
        ...(body && { body }),
      })
    ).arrayBuffer();
  };
  await call('POST', '/v1/counters/a/increment');
  await call('PUT', '/v1/counters/a', 's', '{"value":5}');
  await call('GET', '/v1/counters/a', 'wrong');
  const client = await RawClient.connect(server.resp as { host: string; port: number });
  for (const line of ['AUTH wrong', 'AUTH s', 'INCR a', 'EXPIRE a 60', 'DEL a b c', 'QUIT']) {
    client.send(words(line));
    await client.reply();
  }
  client.socket.destroy();
  await server.end('SIGTERM');
  const lines = server.output.stderr.split('\n').filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ client: peer }) => peer !== undefined)
    .map(({ level, msg, client: _client, time: _time, ms: _ms, ...rest }) => ({
      level: LEVELS[Number(level)],
      msg,
      ...rest,
    }));
}

it('is nothing by default, nor below the level of the log', async () => {
  expect(await use()).toEqual([]);
  expect(await use('--access-log', 'debug', '--audit-log', 'trace')).toEqual([]);
});

it('is every HTTP request and RESP connection with --access-log, and what does not count with --audit-log', async () => {
  const http = { level: 'info', msg: 'HTTP request' };
  const [increment, put, refused] = [
    { method: 'POST', path: '/v1/counters/a/increment', status: 200 },
    { method: 'PUT', path: '/v1/counters/a', status: 200 },
    { method: 'GET', path: '/v1/counters/a', status: 401 },
  ];
  expect(await use('--access-log', 'info', '--audit-log', 'warn')).toEqual([
    { ...http, ...increment },
    { ...http, ...put },
    { level: 'warn', msg: 'HTTP audit', ...put },
    { ...http, ...refused },
    { level: 'warn', msg: 'HTTP audit', ...refused },
    { level: 'warn', msg: 'RESP wrong secret' },
    { level: 'warn', msg: 'RESP audit', command: 'expire', counter: 'a' },
    { level: 'warn', msg: 'RESP audit', command: 'del', counter: 'a', more: 2 },
    { level: 'info', msg: 'RESP connection', name: '', library: '', authenticated: true },
  ]);
});
