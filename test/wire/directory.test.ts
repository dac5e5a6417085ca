// What is done to the files of a data directory, while a server runs and between two of them: nothing of it goes by
// without a word.

import { cp, mkdtemp, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { frame, RespConnection, readCounts } from './counting-clients.ts';
import { runTallyd, ServerProcess, stopServers } from './server-process.ts';

const TRIES = 200;
const PAUSE_MS = 50;

let root: string;
let data: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-directory-'));
  data = join(root, 'data');
});
afterEach(async () => {
  await stopServers();
  await rm(root, { recursive: true, force: true });
});

async function increment(server: ServerProcess, name: string): Promise<string> {
  const connection = await RespConnection.open(server.resp);
  connection?.send(frame('INCR', name));
  const reply = await connection?.lines(1);
  connection?.close();
  return reply ?? 'closed';
}

/** Increments until the answer is such. */
async function incrementUntil(server: ServerProcess, expected: RegExp): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    if (expected.test(await increment(server, 'tries'))) return;
    await delay(PAUSE_MS);
  }
  throw new Error(`no answer was ${expected}`);
}

it('a directory that is taken away refuses updates and says so, and goes on when it is back', async () => {
  const server = await ServerProcess.start({ data });
  expect(await increment(server, 'a')).toBe(':1\r\n');
  await rename(data, join(root, 'elsewhere'));
  // A copy in its place is no better than none.
  await cp(join(root, 'elsewhere'), data, { recursive: true, filter: (name) => !name.endsWith('.sock') });
  await incrementUntil(server, /^-TRYAGAIN /);
  await rm(data, { recursive: true });
  expect(server.output.stderr).toContain('the data directory was removed, moved or replaced under the running process');
  await rename(join(root, 'elsewhere'), data);
  await incrementUntil(server, /^:/);
  expect(await increment(server, 'a')).toBe(':2\r\n');
  await server.end('SIGKILL');
  expect(await readCounts(await ServerProcess.start({ data }), ['a'])).toEqual([2n]);
});

it('a directory that is removed ends in a stop that does not say that all is well', async () => {
  const server = await ServerProcess.start({ data });
  await increment(server, 'a');
  await rm(data, { recursive: true });
  await incrementUntil(server, /^-TRYAGAIN /);
  expect((await server.end('SIGTERM')).code).toBe(1);
  expect(server.output.stderr).toContain('the journal could not be written before the stop');
});

it('a missing tail is refused, and verify says so, too', async () => {
  const server = await ServerProcess.start({ data });
  await increment(server, 'a');
  await increment(server, 'a');
  await server.end('SIGTERM');
  const newest =
    (await readdir(data))
      .filter((name) => name.startsWith('journal-'))
      .sort()
      .at(-1) ?? '';
  await truncate(join(data, newest), 1024);
  const refused = await runTallyd(['serve', '--http', 'off', '--resp', '127.0.0.1:0', '--data', data]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('its tail is missing') });
  expect(await runTallyd(['verify', data])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('its tail is missing'),
  });
  await rm(join(data, 'journal.reach'));
  expect(await readCounts(await ServerProcess.start({ data }), ['a'])).toEqual([1n]);
});

it.each(['replica.json', 'owner.json'])(
  'what is wrong with %s stops the start, and verify says so, too',
  async (file) => {
    await (await ServerProcess.start({ data })).end('SIGTERM');
    await truncate(join(data, file), 0);
    const refused = await runTallyd(['serve', '--http', 'off', '--resp', '127.0.0.1:0', '--data', data]);
    const damage = `${file} is damaged at offset 0`;
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(damage) });
    const refusal = new RegExp(`a start is refused: .*${damage}`);
    expect(await runTallyd(['verify', data])).toMatchObject({ code: 1, stdout: expect.stringMatching(refusal) });
  },
);

it('a directory whose socket was removed is not given to a second server; one that has lost it stops counting', async () => {
  const server = await ServerProcess.start({ data });
  for (const name of await readdir(data)) if (name.endsWith('.sock')) await rm(join(data, name));
  const second = await runTallyd(['serve', '--http', 'off', '--resp', '127.0.0.1:0', '--data', data]);
  expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('is in use by process') });
  expect(await increment(server, 'a')).toBe(':1\r\n');
  await writeFile(join(data, 'owner.json'), '{}');
  await incrementUntil(server, /^-TRYAGAIN /);
  expect(server.output.stderr).toContain('owner.json was replaced under the running process');
  await server.end('SIGKILL');
  expect(await readCounts(await ServerProcess.start({ data, flags: ['--take-over'] }), ['a'])).toEqual([1n]);
});
