// The built CLI against the real server: every command, every exit code.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TallydClient } from '../../src/client/client.ts';
import { run } from '../cli/scripted-run.ts';
import { CliProcess, cli } from './cli-process.ts';
import { ServerProcess, stopServers } from './server-process.ts';

let directory: string;
let url: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-cli-'));
  const server = await ServerProcess.start({ data: join(directory, 'data') });
  url = `http://127.0.0.1:${server.http?.port}`;
});
afterAll(async () => {
  await stopServers();
  await rm(directory, { recursive: true, force: true });
});

/** Runs commands one after the other; the stdout of each. A failing one shows its stderr. */
async function outputs(...commands: (readonly string[])[]): Promise<string[]> {
  const found: string[] = [];
  for (const command of commands) {
    // Inside this process: starting dozens of others would take most of the time.
    const { code, stdout, stderr } = await run([...command], { respond: 'server', env: { TALLYD_URL: url } });
    found.push(code === 0 ? stdout : `exit ${code}: ${stderr}`);
  }
  return found;
}

describe('the command line', () => {
  it('increments and decrements, also by negative amounts, over the whole range', async () => {
    const max = '9223372036854775807';
    expect(
      await outputs(
        ['incr', 'a'],
        ['incr', 'a', '-5'],
        ['decr', 'a', '-3'],
        ['decr', 'a', '7'],
        ['incr', 'big', max],
        ['decr', 'big', max, '--json'],
        ['incr', 'big', '-9223372036854775808'],
      ),
    ).toEqual(['1\n', '-4\n', '-1\n', '-8\n', `${max}\n`, expect.any(String), '-9223372036854775808\n']);
  });

  it('is what a shell sees', async () => {
    expect(await cli(['incr', 'shell', '-5', '--url', url])).toEqual({
      code: 0,
      signal: null,
      stdout: '-5\n',
      stderr: '',
    });
    expect(await cli(['get', 'shell'], { TALLYD_URL: url })).toMatchObject({ code: 0, stdout: '-5\n', stderr: '' });
  });

  it('reads one, some and all', async () => {
    expect(
      await outputs(
        ['set', 'list:1', '10'],
        ['set', 'list:2', '20', '--json'],
        ['get', 'list:1'],
        ['get', 'list:2', 'list:none', 'list:1'],
        ['mget', 'list:1'],
        ['get', 'list:none'],
        ['get', 'list:2', '--json'],
      ),
    ).toEqual([
      '0\n',
      '{"name":"list:2","value":20,"previous":0}\n',
      '10\n',
      '20\tlist:2\n0\tlist:none\n10\tlist:1\n',
      '10\tlist:1\n',
      '0\n',
      '{"name":"list:2","value":20,"exists":true}\n',
    ]);
    const [plain = '', json = ''] = await outputs(['list', 'list:*'], ['list', 'list:?', '--json']);
    expect(plain.trimEnd().split('\n').sort()).toEqual(['10\tlist:1', '20\tlist:2']);
    expect(
      json
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)).length,
    ).toBe(2);
  });

  it('sets, resets, expires and deletes', async () => {
    expect(
      await outputs(
        ['incr', 'c', '3'],
        ['reset', 'c'],
        ['get', 'c'],
        ['ttl', 'c'],
        ['ttl', 'c', '100'],
        ['ttl', 'c', 'none'],
        ['incr', 'd', '--ttl', '1000'],
        ['del', 'c', 'none'],
      ),
    ).toEqual(['3\n', '3\n', '0\n', 'none\n', '100\n', 'none\n', '1\n', '1\n']);
    expect(Number((await outputs(['ttl', 'd']))[0])).toBeGreaterThan(900);
    expect(await cli(['ttl', 'c'], { TALLYD_URL: url })).toMatchObject({ code: 1, stdout: 'absent\n' });
  });

  it('bounds an increment', async () => {
    expect(
      await outputs(
        ['incr', 'stock', '5', '--floor', '0', '--ceiling', '10'],
        ['decr', 'stock', '9', '--floor', '0'],
        ['decr', 'stock', '9', '--floor', '0', '--saturate', '--json'],
      ),
    ).toEqual([
      '5\n',
      expect.stringContaining('exit 1: tallyd: below_floor'),
      '{"name":"stock","value":0,"applied":-5,"replayed":false}\n',
    ]);
  });

  it('repeats an update under its key without counting again', async () => {
    const command = ['incr', 'keyed', '2', '--key', 'my key'];
    expect(await outputs(command, command, ['get', 'keyed'])).toEqual(['2\n', '2\n', '2\n']);
    expect(await outputs([...command.slice(0, 2), '3', '--key', 'my key'])).toEqual([
      expect.stringContaining('exit 1: tallyd: idempotency_mismatch'),
    ]);
  });

  it('takes any name', async () => {
    const names = ['..', '.', 'a/b?c#d', 'ü 😀', 'a\nb', '%2e', '-dash', '"'];
    for (const name of names) {
      expect(await outputs(['incr', '--', name, '7'], ['get', '--', name])).toEqual(['7\n', '7\n']);
    }
    expect((await cli(['incr', ''], { TALLYD_URL: url })).stderr).toContain('invalid_name');
    expect((await cli(['incr', 'x'.repeat(256)], { TALLYD_URL: url })).stderr).toContain('invalid_name');
  });

  it('asks the server about itself', async () => {
    const [info = '', snapshot = ''] = await outputs(['info', '--json'], ['snapshot', '--json']);
    expect(JSON.parse(info)).toMatchObject({ state: 'open', durability: 'always', counters: expect.any(Number) });
    expect(JSON.parse(snapshot)).toMatchObject({ file: expect.any(String), counters: expect.any(Number) });
    expect((await outputs(['info']))[0]).toMatch(/^state {2,}open$/m);
  });

  it('refuses by code, on stderr and as JSON', async () => {
    const overflow = await cli(['incr', 'a', '99999999999999999999', '--json'], { TALLYD_URL: url });
    expect(overflow).toMatchObject({ code: 1, stdout: '' });
    expect(JSON.parse(overflow.stderr)).toMatchObject({ outcome: 'refused', code: 'invalid_number', status: 400 });
    expect((await cli(['frob'])).code).toBe(2);
    expect((await cli(['--url', url, 'serve'])).code).toBe(2);
  });

  it('stops without a word when its reader leaves', async () => {
    const updates = Array.from({ length: 10_000 }, (_, i) => ({ name: `${'n'.repeat(200)}:${i}` }));
    await new TallydClient({ url }).batch(updates);
    for (const command of ['list', 'export']) {
      const result = await new CliProcess([command], { TALLYD_URL: url }).leaveAfterFirstOutput();
      expect(result).toMatchObject({ code: 0, signal: null, stderr: '' });
    }
  });
});

describe('a server', () => {
  it('that is not there ends with 4', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    for (const command of [
      ['incr', 'a'],
      ['get', 'a'],
    ]) {
      const { code, stderr } = await cli([...command, '--timeout', '2', '--url', `http://127.0.0.1:${port}`]);
      expect([code, stderr]).toEqual([4, expect.stringContaining('unreachable')]);
    }
  });

  it('that never answers ends with 3 for an update, and with 4 for a read', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => socket.destroy()).resume()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const flags = ['--timeout', '2', '--url', `http://127.0.0.1:${port}`];
    expect(await cli(['incr', 'a', ...flags])).toMatchObject({ code: 3, stderr: expect.stringContaining('key') });
    expect(await cli(['get', 'a', ...flags])).toMatchObject({ code: 4 });
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('with a secret takes it from a file or the environment, and refuses others', async () => {
    const file = join(directory, 'secret');
    await writeFile(file, 'open-sesame\n');
    const server = await ServerProcess.start({ data: join(directory, 'locked'), flags: ['--secret-file', file] });
    const locked = `http://127.0.0.1:${server.http?.port}`;
    expect(await cli(['incr', 'a', '--url', locked])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('unauthorized'),
    });
    const wrong = await cli(['incr', 'a', '--url', locked], { TALLYD_SECRET: 'close-sesame' });
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('wrong_secret') });
    expect(wrong.stderr).not.toContain('sesame');
    expect((await cli(['incr', 'a', '--url', locked, '--secret-file', file])).stdout).toBe('1\n');
    expect((await cli(['incr', 'a', '--url', locked], { TALLYD_SECRET: 'open-sesame' })).stdout).toBe('2\n');
  });
});
