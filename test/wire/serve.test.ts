// `tallyd serve` and `tallyd verify` from outside: what they print, refuse, and leave behind.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import {
  frame,
  KeyedHttpClient,
  PlainHttpClient,
  RespClient,
  RespConnection,
  readCounts,
  urlOf,
} from './counting-clients.ts';
import { runTallyd, ServerProcess, stopServers } from './server-process.ts';

let root: string;
let data: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-serve-'));
  data = join(root, 'data');
});
afterEach(async () => {
  await stopServers();
  await rm(root, { recursive: true, force: true });
});

/** Runs `serve` on the test's directory, which has to be refused. */
function serve(...flags: readonly string[]): ReturnType<typeof runTallyd> {
  return runTallyd(['serve', '--http', '127.0.0.1:0', '--resp', '127.0.0.1:0', '--data', data, ...flags]);
}

async function increment(server: ServerProcess, name: string): Promise<void> {
  const response = await fetch(`${urlOf(server)}/v1/counters/${name}/increment`, { method: 'POST' });
  expect(response.status).toBe(200);
}

async function ownerRecord(): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(data, 'owner.json'), 'utf8'));
}

it('help for a reader that leaves early is no error', async () => {
  const child = spawn(process.execPath, ['bin/tallyd.js', 'serve', '--help']);
  child.stdout.destroy();
  const errors: Buffer[] = [];
  child.stderr.on('data', (piece: Buffer) => errors.push(piece));
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(Buffer.concat(errors).toString()).toBe('');
});

describe('a start', () => {
  it('prints one line when both doors take traffic, and nothing else to the standard output', async () => {
    const server = await ServerProcess.start({ data });
    await increment(server, 'a');
    const connection = await RespConnection.open(server.resp);
    connection?.send(frame('INCR', 'a'));
    expect(await connection?.lines(1)).toBe(':2\r\n');
    connection?.close();
    await server.end('SIGTERM');
    expect(server.output.stdout).toMatch(/^tallyd ready http=127\.0\.0\.1:\d+ resp=127\.0\.0\.1:\d+ data=.+\n$/);
    expect(server.directory).toBe(data);
  });

  it('can leave a door off, and listens on IPv6', async () => {
    const server = await ServerProcess.start({ data, flags: ['--resp', 'off', '--http', '[::1]:0'] });
    expect(server.output.stdout).toMatch(/^tallyd ready http=\[::1\]:\d+ resp=off data=/);
    const response = await fetch(`http://[::1]:${server.http?.port}/readyz`);
    expect(response.status).toBe(200);
  });

  it('takes settings and policies from a file and from variables', async () => {
    const config = join(root, 'tallyd.yaml');
    await writeFile(config, 'policies:\n  - match: "stock:*"\n    floor: 0\n');
    const server = await ServerProcess.start({ data, environment: { TALLYD_CONFIG: config, TALLYD_SECRET: 's3cret' } });
    const decrement = { method: 'POST', headers: { authorization: 'Bearer s3cret' } };
    const refused = await fetch(`${urlOf(server)}/v1/counters/stock:a/decrement`, decrement);
    expect(await refused.json()).toMatchObject({ code: 'below_floor' });
    const anonymous = await fetch(`${urlOf(server)}/v1/counters/a`);
    expect(anonymous.status).toBe(401);
    const connection = await RespConnection.open(server.resp);
    connection?.send(frame('GET', 'a') + frame('AUTH', 'wrong') + frame('AUTH', 's3cret') + frame('INCR', 'a'));
    expect((await connection?.lines(4))?.split('\r\n')).toEqual(
      ['NOAUTH Authentication required.', 'WRONGPASS invalid username-password pair or user is disabled.']
        .map((text) => `-${text}`)
        .concat('+OK', ':1', ''),
    );
    await server.end('SIGTERM');
    expect(server.output.stderr).not.toContain('s3cret');
  });
});

describe('a start is refused', () => {
  it.each<[string, readonly string[], RegExp]>([
    ['an unknown flag', ['--htp', 'x'], /unknown option '--htp'[\s\S]*Did you mean --http/],
    ['a flag without its value', ['--secret-file'], /argument missing/],
    ['a wrong value', ['--durability', 'sometimes'], /^tallyd: --durability: "sometimes" is none of always/],
    ['an argument too many', ['now'], /too many arguments/],
    ['an open address without a secret', ['--http', '0.0.0.0:0'], /not a loopback address.*TALLYD_SECRET.*--insecure/],
    ['a config file that is not there', ['--config', 'nowhere.yaml'], /config file nowhere.yaml cannot be read/],
  ])('for %s, with a sentence and exit code 2, and touches nothing', async (_what, flags, sentence) => {
    const { code, stdout, stderr } = await serve(...flags);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(await readdir(root)).toEqual([]);
  });

  it('for a port that is taken, and leaves nothing behind', async () => {
    const holder = createServer();
    const port = await listen(holder);
    for (const door of ['http', 'resp']) {
      const { code, stdout, stderr } = await serve(`--${door}`, `127.0.0.1:${port}`);
      expect(stderr).toContain(`tallyd: ${door} cannot listen on 127.0.0.1:${port}: the port is taken`);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect((await readdir(data)).filter((name) => name.startsWith('owner.'))).toEqual(['owner.json']);
      expect(await ownerRecord()).toMatchObject({ released: true });
    }
    holder.close();
  });

  it('while another process has the directory, which goes on', async () => {
    const first = await ServerProcess.start({ data });
    const { code, stderr } = await serve();
    expect(stderr).toBe(
      `tallyd: data directory ${data} is in use by process ${first.pid}: stop it, or name another directory with --data\n`,
    );
    expect(code).toBe(1);
    await increment(first, 'a');
    await first.end('SIGKILL');
    // Dead is dead, at once.
    expect(await readCounts(await ServerProcess.start({ data }), ['a'])).toEqual([1n]);
  });

  it('for a directory that another host left without stopping, until --take-over', async () => {
    const first = await ServerProcess.start({ data });
    await increment(first, 'a');
    await first.end('SIGKILL');
    // As an earlier version wrote it, without a checksum.
    const elsewhere = { ...(await ownerRecord()), bootId: 'another', hostname: 'beta', crc32: undefined };
    await writeFile(join(data, 'owner.json'), JSON.stringify(elsewhere));
    const { code, stderr } = await serve();
    expect(stderr).toMatch(/last used on host beta .* not left cleanly; .* start with --take-over/);
    expect(code).toBe(1);
    const second = await ServerProcess.start({ data, flags: ['--take-over'] });
    expect(await readCounts(second, ['a'])).toEqual([1n]);
    expect(await ownerRecord()).toMatchObject({ pid: second.pid, released: false });
  });

  it('for a damaged journal, with file and offset, and changes nothing', async () => {
    const server = await ServerProcess.start({ data });
    for (let i = 0; i < 5; i++) await increment(server, 'a');
    await server.end('SIGTERM');
    const journal = join(data, 'journal-00000001.log');
    const file = await open(journal, 'r+');
    await file.write(Buffer.from([0xff]), 0, 1, 512 + 100);
    await file.close();
    const before = await readFile(journal);
    const { code, stdout, stderr } = await serve();
    expect(stderr).toMatch(/journal-00000001\.log is damaged at offset 512: /);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(await readFile(journal)).toEqual(before);
    const verified = await runTallyd(['verify', data]);
    expect(verified.stdout).toMatch(/journal-00000001\.log: damaged[\s\S]*offset 512[\s\S]*a start is refused/);
    expect(verified.code).toBe(1);
  });
});

describe(`a stop, seed ${seed}`, () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('by %s exits with 0 and gives the directory away', async (signal) => {
    const server = await ServerProcess.start({ data });
    await increment(server, 'a');
    expect(await server.end(signal)).toEqual({ code: 0, signal: null });
    expect((await readdir(data)).sort()).toEqual([
      'journal-00000001.log',
      'journal.reach',
      'owner.json',
      'replica.json',
    ]);
    expect(await ownerRecord()).toMatchObject({ pid: server.pid, released: true });
  });

  it('is not asked for by SIGHUP', async () => {
    const server = await ServerProcess.start({ data });
    server.signal('SIGHUP');
    while (!server.output.stderr.includes('SIGHUP')) await increment(server, 'a');
    await increment(server, 'a');
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
  });

  it('is not brought about by a log that cannot be written', async () => {
    const server = await ServerProcess.start({ data, under: ['bash', '-c', 'exec "$@" 2>/dev/full', '--'] });
    server.signal('SIGHUP');
    await increment(server, 'a');
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
  });

  it('under load loses nothing that was acknowledged, in several rounds', async () => {
    const kinds = [RespClient, RespClient, KeyedHttpClient, PlainHttpClient, RespClient];
    const clients = kinds.map((Kind, index) => new Kind(index, new SeededRandom(seed + index)));
    const names = clients.map(({ own }) => own);
    let server = await ServerProcess.start({ data });
    for (let round = 0; round < 5; round++) {
      const running = clients.map((client) => client.run(server, 10_000));
      while (clients.some(({ acknowledged }) => acknowledged < 50 * (round + 1))) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const [ended] = await Promise.all([server.end('SIGTERM'), ...running]);
      expect(ended, server.output.stderr).toEqual({ code: 0, signal: null });
      server = await ServerProcess.start({ data });
      for (const client of clients) await client.settle(server);
      for (const [at, counted] of (await readCounts(server, names)).entries()) {
        const { own, acknowledged, attempted } = clients[at] ?? { own: '', acknowledged: 0, attempted: 0 };
        const message = `seed ${seed}, round ${round}: ${own}: ${acknowledged} <= ${counted} <= ${attempted}`;
        expect(counted >= BigInt(acknowledged) && counted <= BigInt(attempted), message).toBe(true);
      }
    }
  });

  it('answers what was sent before it, and refuses connections after it', async () => {
    const server = await ServerProcess.start({ data });
    const connection = await RespConnection.open(server.resp);
    connection?.send(frame('INCR', 'a').repeat(200));
    expect(await connection?.lines(1)).toBe(':1\r\n');
    const ended = server.end('SIGTERM');
    expect(await connection?.lines(199)).toMatch(/^:2\r\n[\s\S]*:200\r\n$/);
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(await RespConnection.open(server.resp)).toBeUndefined();
  });

  it('ends at once by a second signal, and the next start recovers', async () => {
    const server = await ServerProcess.start({ data });
    await increment(server, 'a');
    const deaf = await RespConnection.open(server.resp);
    // Never reads: the first signal waits for it, up to a bound.
    deaf?.pause();
    deaf?.send(frame('PING', 'x'.repeat(60_000)).repeat(400));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    server.signal('SIGTERM');
    await expectEventually(() => server.output.stderr.includes('SIGTERM: finishing'));
    expect(await server.end('SIGTERM')).toEqual({ code: 1, signal: null });
    expect(server.output.stderr).toContain('second SIGTERM: ending at once');
    expect(await ownerRecord()).toMatchObject({ released: false });
    expect(await readCounts(await ServerProcess.start({ data }), ['a'])).toEqual([1n]);
  });

  it('that a hanging disk holds up ends in time, and says what was not finished', { timeout: 30_000 }, async () => {
    const server = await ServerProcess.start({ data, environment: preload(HANGING_DISK) });
    const connection = await RespConnection.open(server.resp);
    connection?.send(frame('INCR', 'a'));
    await expectEventually(async () => {
      const info = (await (await fetch(`${urlOf(server)}/v1/info`)).json()) as { commands: number };
      return info.commands === 1;
    });
    // Not an exit: that would wait for the thread that waits for the disk.
    expect(await server.end('SIGTERM')).toEqual({ code: null, signal: 'SIGKILL' });
    expect(server.output.stderr).toMatch(/"phase":"waiting for the disk".*"groupsNotDurable":1.*not finished in time/);
  });

  it('by an error that nobody handles has exit code 70 and a log line, and the next start recovers', async () => {
    const failing = preload("process.on('SIGUSR2', () => { throw new Error('planted') })");
    const server = await ServerProcess.start({ data, environment: failing });
    await increment(server, 'a');
    expect(await server.end('SIGUSR2')).toEqual({ code: 70, signal: null });
    expect(server.output.stderr).toMatch(/"level":60.*planted.*unforeseen/);
    expect(await readCounts(await ServerProcess.start({ data }), ['a'])).toEqual([1n]);
  });
});

describe('verify', () => {
  it('says that a directory is whole, as text and as JSON, and changes nothing', async () => {
    const server = await ServerProcess.start({ data });
    await increment(server, 'a');
    await increment(server, 'b');
    const beside = await runTallyd(['verify', data]);
    expect(beside.stdout).toMatch(new RegExp(`^notice: process ${server.pid} uses .*\\n[\\s\\S]*is whole\\n$`));
    await server.end('SIGTERM');
    const before = await readdir(data);
    const text = await runTallyd(['verify', data]);
    expect(text.stdout).toMatch(
      /^journal-00000001\.log: whole, .*\n(?:\S+: whole\n){3}a start recovers 2 counters through group \d+\n/,
    );
    const json = await runTallyd(['verify', '--json', data]);
    expect(JSON.parse(json.stdout)).toMatchObject({ isWhole: true, wouldStart: true, counters: 2, tornBytes: 0 });
    expect([beside.code, text.code, json.code]).toEqual([0, 0, 0]);
    expect(await readdir(data)).toEqual(before);
  });

  it('refuses what is no data directory', async () => {
    await mkdir(data);
    const empty = await runTallyd(['verify', data]);
    expect(empty).toMatchObject({ code: 1, stdout: '' });
    expect(empty.stderr).toMatch(/there is no journal in/);
    expect(await runTallyd(['verify', join(root, 'none')])).toMatchObject({ code: 1, stdout: '' });
    expect(await runTallyd(['verify'])).toMatchObject({ code: 2, stdout: '' });
  });
});

/** After the sync of the segment's header the disk does not answer any more. */
const HANGING_DISK = `
  const file = await (await import('node:fs/promises')).open('/dev/null');
  const prototype = Object.getPrototypeOf(file);
  const { datasync } = prototype;
  // Those of a start: owner.json, replica.json, journal.reach, and the first segment.
  let syncs = 0;
  prototype.datasync = function () {
    return ++syncs > 4 ? new Promise(() => undefined) : datasync.call(this);
  };
  await file.close();
`;

/** Runs a module in the server before its own. */
function preload(source: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

async function expectEventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waits = 0; !(await condition()); waits++) {
    if (waits > 500) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
