// A process whose memory is limited refuses new names before it has none left, and counts on.

import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { RawClient, request } from './raw-client.ts';
import { runTallyd, ServerProcess, stopServers } from './server-process.ts';

/** Of which Node reserves most and uses little. */
const ADDRESS_SPACE_KIBIBYTES = 2_050_000;
const NAMES = 2_000;
const PACKETS_MAX = 2_000;
const NOWHERE = { host: '', port: 0 };
const directories: string[] = [];

afterEach(async () => {
  await stopServers();
  await Promise.all(directories.splice(0).map((directory) => rm(directory, { recursive: true })));
});

it('under a limit is filled until new names are refused, and goes on with those that are there, also after a restart', async () => {
  const data = await mkdtemp(join(tmpdir(), 'tallyd-memory-'));
  directories.push(data);
  const under = ['bash', '-c', `ulimit -v ${ADDRESS_SPACE_KIBIBYTES}; exec "$@"`, '--'];
  const flags = ['--durability', 'off'];
  let server = await ServerProcess.start({ data, under, flags });
  let client = await RawClient.connect(server.resp ?? NOWHERE);
  const nameOf = (packet: number, i: number): string => `${packet}:${i}:`.padEnd(250, 'x');
  let made = 0;
  let refused = 0;
  for (let packet = 0; refused === 0 && packet < PACKETS_MAX; packet++) {
    const commands = Array.from({ length: NAMES }, (_, i) => `INCR ${nameOf(packet, i)}\r\n`);
    client.send(commands.join(''));
    for (let i = 0; i < NAMES; i++) {
      const reply = await client.reply();
      if (reply === ':1\r\n') made++;
      else if (reply.startsWith('-OOM')) refused++;
    }
  }
  expect(refused).toBeGreaterThan(0);
  expect(made).toBeGreaterThan(50_000);
  const stillCounts = async (times: number): Promise<void> => {
    expect(await client.call('INCR', nameOf(0, 0))).toBe(`:${times}\r\n`);
    expect(await client.call('INCR', 'another name')).toMatch(/^-OOM/);
    expect(await client.call('EXPIRE', nameOf(0, 1), '100')).toMatch(/^-OOM/);
    expect(await client.call('SAVE')).toBe('+OK\r\n');
  };
  await stillCounts(2);
  const { host, port } = server.http ?? NOWHERE;
  const { stdout } = await runTallyd(['info', '--json', '--url', `http://${host}:${port}`]);
  const { tableBytes, tableBytesMax, counters } = JSON.parse(stdout) as Record<string, number>;
  expect([counters, tableBytes >= tableBytesMax, tableBytes < tableBytesMax * 1.01]).toEqual([made, true, true]);
  expect(server.output.stderr).toContain(`"memoryBytes":${tableBytesMax}`);
  await server.end('SIGTERM');
  server = await ServerProcess.start({ data, under, flags: [...flags, '--memory', String(tableBytesMax)] });
  client = await RawClient.connect(server.resp ?? NOWHERE);
  await stillCounts(3);
  expect(await client.call('DBSIZE')).toBe(`:${made}\r\n`);
  expect(await client.call('DEL', nameOf(0, 2))).toBe(':1\r\n');
  expect(await client.call('INCR', nameOf(0, 2))).toBe(':1\r\n');
  client.close();
});

it('under a limit counts on beside 600 clients that send half requests', async () => {
  const data = await mkdtemp(join(tmpdir(), 'tallyd-memory-'));
  directories.push(data);
  const under = ['bash', '-c', `ulimit -v ${ADDRESS_SPACE_KIBIBYTES}; exec "$@"`, '--'];
  const server = await ServerProcess.start({ data, under, flags: ['--durability', 'off'] });
  const address = server.resp ?? NOWHERE;
  const client = await RawClient.connect(address);
  const argument = request('x'.repeat(60_000)).subarray('*1\r\n'.length);
  const half = Buffer.concat([Buffer.from('*1000\r\n'), ...Array<Buffer>(30).fill(argument)]);
  const hostile: Socket[] = [];
  for (let i = 1; i <= 600; i++) {
    const socket = connect(address).on('error', () => undefined);
    hostile.push(socket);
    // Taken, or cut.
    await new Promise((resolve) => socket.on('close', resolve).write(half, resolve));
    if (i % 50 === 0) expect(await client.call('INCR', 'b')).toBe(`:${i / 50}\r\n`);
  }
  // What it has taken from the system later than it was sent.
  for (let i = 1; i <= 100; i++) {
    expect(await client.call('INCR', 'b')).toBe(`:${12 + i}\r\n`);
    await delay(10);
  }
  for (const socket of hostile) socket.destroy();
  client.close();
});
