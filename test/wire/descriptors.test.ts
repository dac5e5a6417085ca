// Connections never take the descriptors that the journal needs.

import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { connectionsMax } from '../../src/server/descriptors.ts';
import { RawClient } from './raw-client.ts';
import { type Address, ServerProcess, stopServers } from './server-process.ts';

const DESCRIPTORS = 256;
const directories: string[] = [];

afterEach(async () => {
  await stopServers();
  await Promise.all(directories.splice(0).map((directory) => rm(directory, { recursive: true })));
});

/** Opens a connection that says nothing. @returns whether it is still open a moment later */
function idle(at: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at).on('error', () => resolve(false));
    socket.on('connect', () => setTimeout(() => resolve(true), 300)).on('close', () => resolve(false));
    socket.resume();
  });
}

it('counts, rotates and writes snapshots beside more connections than it has descriptors', async () => {
  const data = await mkdtemp(join(tmpdir(), 'tallyd-descriptors-'));
  directories.push(data);
  const under = ['bash', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, '--'];
  const server = await ServerProcess.start({ data, under, environment: { TALLYD_SECRET: 'open-sesame' } });
  const { http, resp } = server;
  if (http === undefined || resp === undefined) throw new Error('both doors are open');
  const client = await RawClient.connect(resp);
  expect(await client.call('AUTH', 'open-sesame')).toBe('+OK\r\n');
  const open = await Promise.all(Array.from({ length: 2 * DESCRIPTORS }, (_, i) => idle(i % 2 === 0 ? http : resp)));
  expect(open.filter((isOpen) => isOpen).length).toBeLessThan(connectionsMax(DESCRIPTORS));
  expect(open.filter((isOpen) => isOpen).length).toBeGreaterThan(connectionsMax(DESCRIPTORS) / 2);
  for (let i = 1; i <= 3; i++) {
    expect(await client.call('INCR', 'a')).toBe(`:${i}\r\n`);
    expect(await client.call('SAVE')).toBe('+OK\r\n');
  }
  expect(server.output.stderr).toMatch(/connections refused: raise the limit of open files/);
  expect(server.output.stderr).not.toMatch(/EMFILE|cannot be written/);
  client.close();
});

it('leaves a share of any limit to the rest of the process', () => {
  for (const descriptors of [16, 64, 256, 1024, 65_536]) {
    expect(descriptors - connectionsMax(descriptors)).toBeGreaterThanOrEqual(Math.min(descriptors / 2, 128));
  }
});
