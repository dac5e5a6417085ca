// Clients that people use, against the real server: redis-cli, redis-benchmark, node-redis and ioredis, as they come.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { createClient, RESP_TYPES } from 'redis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { RawClient, request, words } from './raw-client.ts';
import { type Address, ServerProcess, stopServers } from './server-process.ts';

const SECRET = 'correct-horse-battery-staple';
const MAX = '9223372036854775807';
const run = promisify(execFile);

let root: string;
let open: Address;
let closed: Address;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-resp-clients-'));
  open = await start('open', {});
  closed = await start('closed', { TALLYD_SECRET: SECRET });
});
afterAll(async () => {
  await stopServers();
  await rm(root, { recursive: true, force: true });
});
beforeEach(async () => {
  const client = await RawClient.connect(open);
  await client.call('DEL', 'a', 'b', 'c', 'counter:__rand_int__');
  client.close();
});

async function start(directory: string, environment: Record<string, string>): Promise<Address> {
  const { resp } = await ServerProcess.start({ data: join(root, directory), environment });
  if (resp === undefined) throw new Error('the RESP door is off');
  return resp;
}

describe.skipIf(lacks('redis-cli'))('redis-cli', () => {
  async function cli(args: readonly string[], address = open): Promise<string> {
    const { stdout } = await run('redis-cli', ['-h', address.host, '-p', `${address.port}`, ...args]);
    return stdout.trim();
  }

  /** With a pipe for a standard input. */
  async function cliWith(input: string | Uint8Array, args: readonly string[] = []): Promise<string> {
    const child = spawn('redis-cli', ['-h', open.host, '-p', `${open.port}`, ...args]);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stdin.end(input);
    await once(child, 'close');
    return output.trim();
  }

  it('counts, in RESP2 and RESP3', async () => {
    expect(await cli(['INCR', 'a'])).toBe('1');
    expect(await cli(['-3', 'INCRBY', 'a', '41'])).toBe('42');
    expect(await cli(['--json', 'GET', 'a'])).toBe('"42"');
    expect(await cli(['INCRBY', 'a', 'x'])).toBe('ERR value is not an integer or out of range');
  });

  it('runs a transaction that it is given line by line', async () => {
    const output = await cliWith('MULTI\nINCR a\nEXPIRE a 100\nEXEC\nTTL a\n');
    expect(output.split('\n')).toEqual(['OK', 'QUEUED', 'QUEUED', '1', '1', '100']);
  });

  it('loads with --pipe, which ends with 20 random bytes to be echoed', async () => {
    const input = Buffer.concat(Array.from({ length: 5000 }, () => request('INCR', 'a')));
    expect(await cliWith(input, ['--pipe'])).toContain('errors: 0, replies: 5000');
    expect(await cli(['GET', 'a'])).toBe('5000');
  });

  it('lists with --scan and a pattern', async () => {
    await cli(['TALLY.ADD', 'a', '1', 'b', '2', 'c', '3']);
    expect((await cli(['--scan', '--pattern', '[ab]'])).split('\n').sort()).toEqual(['a', 'b']);
  });

  it('authenticates with -a', async () => {
    expect(await cli(['INCR', 'a'], closed)).toBe('NOAUTH Authentication required.');
    expect(await cli(['-a', SECRET, '--no-auth-warning', 'INCR', 'a'], closed)).toBe('1');
  });

  it('asks for the documentation of the commands when people type', async () => {
    // `script` gives it a terminal, without which it asks for nothing; a dumb one, so that it just reads lines.
    const command = `redis-cli -h ${open.host} -p ${open.port}`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, TERM: 'dumb' } });
    let output = '';
    let lines = ['help increx', 'incr a', 'quit'];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (!/> $/.test(output)) return;
      child.stdin.write(`${lines[0]}\n`);
      lines = lines.slice(1);
    });
    await once(child, 'close');
    expect(output).toContain('Adds an integer within bounds');
    expect(output).toContain('(integer) 1');
  });
});

describe.skipIf(lacks('redis-benchmark'))('redis-benchmark', () => {
  it.each([
    ['one by one', '1'],
    ['in pipelines', '64'],
  ])('-t incr, %s: no update is lost', async (_, pipeline) => {
    const count = 20_000;
    const { stdout } = await run('redis-benchmark', [
      ...['-h', open.host, '-p', `${open.port}`, '-t', 'incr', '-n', `${count}`, '-c', '20', '-P', pipeline, '-q'],
    ]);
    expect(stdout).toMatch(/INCR: [0-9.]+ requests per second/);
    const client = await RawClient.connect(open);
    const counted = Number((await client.call('GET', 'counter:__rand_int__')).split('\r\n')[1]);
    client.close();
    // It sends whole pipelines, and each client stops by itself: up to one pipeline a client more than asked for.
    expect(counted).toBeGreaterThanOrEqual(count);
    expect(counted).toBeLessThanOrEqual(count + 20 * Number(pipeline));
  });
});

describe('node-redis', () => {
  for (const protocol of [2, 3] as const) {
    async function connected(address = open, password?: string) {
      const client = createClient({
        socket: { ...address, reconnectStrategy: false },
        RESP: protocol,
        name: 'a-client',
        ...(password === undefined ? {} : { password }),
      });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    }

    it(`RESP${protocol}: counts, reads, sets, expires and deletes`, async () => {
      const client = await connected();
      expect(await client.incr('a')).toBe(1);
      expect(await client.incrBy('a', 41)).toBe(42);
      expect(await client.decrBy('a', 2)).toBe(40);
      expect(await client.get('a')).toBe('40');
      expect(await client.get('b')).toBe(null);
      expect(await client.set('b', '7', { expiration: { type: 'EX', value: 100 }, condition: 'NX' })).toBe('OK');
      expect(await client.set('b', '8', { condition: 'NX' })).toBe(null);
      expect(await client.ttl('b')).toBe(100);
      expect(await client.mGet(['a', 'b', 'c'])).toEqual(['40', '7', null]);
      expect(await client.exists(['a', 'b', 'c'])).toBe(2);
      expect(await client.del(['a', 'b'])).toBe(2);
      await expect(client.incrBy('a', 1.5)).rejects.toThrow('ERR value is not an integer or out of range');
      expect(await client.clientGetName()).toBe('a-client');
      await client.close();
    });

    it(`RESP${protocol}: exact values beyond 2^53 as text`, async () => {
      const client = await connected();
      const exact = client.withTypeMapping({ [RESP_TYPES.NUMBER]: String });
      await client.set('a', '9223372036854775806');
      expect(await exact.incr('a')).toBe(MAX);
      await expect(client.incr('a')).rejects.toThrow('ERR increment or decrement would overflow');
      await client.close();
    });

    it(`RESP${protocol}: INCREX`, async () => {
      const client = await connected();
      expect(await client.increx('a', { by: 5, upperBound: 10 })).toEqual([5, 5]);
      expect(await client.increx('a', { by: 6, upperBound: 10 })).toEqual([5, 0]);
      expect(await client.increx('a', { by: 6, upperBound: 10, saturate: true })).toEqual([10, 5]);
      const expiration = { type: 'EX', value: 100, ENX: true } as const;
      expect(await client.increx('a', { by: -1, lowerBound: 0, expiration })).toEqual([9, -1]);
      expect(await client.ttl('a')).toBe(100);
      await client.close();
    });

    it(`RESP${protocol}: transactions, also a hundred at once`, async () => {
      const client = await connected();
      const one = () => client.multi().incr('a').expire('a', 100).get('a').exec();
      expect(await one()).toEqual([1, 1, '1']);
      const many = await Promise.all(Array.from({ length: 100 }, one));
      expect(many.map((replies) => Number(replies[0])).sort((x, y) => x - y)).toEqual(
        Array.from({ length: 100 }, (_, i) => i + 2),
      );
      await client.close();
    });

    it(`RESP${protocol}: lists`, async () => {
      const client = await connected();
      await Promise.all(Array.from({ length: 500 }, (_, i) => client.incr(`list:${i}`)));
      const names = new Set<string>();
      for await (const page of client.scanIterator({ MATCH: 'list:*', COUNT: 50 })) {
        for (const name of page) names.add(name);
      }
      expect(names.size).toBe(500);
      expect(await client.del([...names])).toBe(500);
      await client.close();
    });

    it(`RESP${protocol}: authenticates`, async () => {
      const client = await connected(closed, SECRET);
      expect(await client.set('a', '1')).toBe('OK');
      await client.close();
      await expect(connected(closed, 'wrong')).rejects.toThrow('WRONGPASS');
    });
  }
});

describe('ioredis', () => {
  function connected(options: { password?: string } = {}, address = open): Redis {
    return new Redis({
      ...address,
      ...options,
      lazyConnect: true,
      retryStrategy: () => null,
      connectionName: 'a-client',
    });
  }

  it('counts, reads, sets, expires and deletes', async () => {
    const client = connected();
    expect(await client.incr('a')).toBe(1);
    expect(await client.incrby('a', 41)).toBe(42);
    expect(await client.get('a')).toBe('42');
    expect(await client.set('b', '7', 'EX', 100, 'NX')).toBe('OK');
    expect(await client.mget('a', 'b', 'c')).toEqual(['42', '7', null]);
    expect(await client.ttl('b')).toBe(100);
    expect(await client.del('a', 'b')).toBe(2);
    expect(await client.call('CLIENT', 'GETNAME')).toBe('a-client');
    await expect(client.call('NOSUCH')).rejects.toThrow("ERR unknown command 'NOSUCH'");
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('pipelines and transactions', async () => {
    const client = connected();
    const pipeline = client.pipeline();
    for (let i = 0; i < 5000; i++) pipeline.incr('a');
    const replies = (await pipeline.exec()) ?? [];
    expect(replies.at(-1)).toEqual([null, 5000]);
    expect(await client.multi().incr('a').expire('a', 100).exec()).toEqual([
      [null, 5001],
      [null, 1],
    ]);
    await expect(client.multi().incr('a').call('INCR').exec()).rejects.toThrow('EXECABORT');
    client.disconnect();
  });

  it('numbers beyond 2^53 as text', async () => {
    const client = new Redis({ ...open, stringNumbers: true });
    await client.set('a', MAX);
    expect(await client.decr('a')).toBe('9223372036854775806');
    client.disconnect();
  });

  it('lists with a stream, and authenticates', async () => {
    const client = connected({ password: SECRET }, closed);
    await client.incr('a');
    const names: string[] = [];
    for await (const page of client.scanStream({ match: 'a' })) names.push(...page);
    expect(names).toEqual(['a']);
    client.disconnect();
  });
});

describe('the server process', () => {
  it('answers before it ends on SIGTERM, and keeps what it has answered', async () => {
    const data = join(root, 'terminated');
    const server = await ServerProcess.start({ data });
    const client = await RawClient.connect(server.resp ?? open);
    client.send(Buffer.concat(Array.from({ length: 1000 }, () => words('INCR a'))));
    expect(await client.reply()).toBe(':1\r\n');
    const ended = server.end('SIGTERM');
    const rest = await client.rest();
    client.close();
    expect(await ended).toEqual({ code: 0, signal: null });
    const answered = rest.split('\r\n').length;
    const again = await ServerProcess.start({ data });
    const reader = await RawClient.connect(again.resp ?? open);
    const counted = Number((await reader.call('GET', 'a')).split('\r\n')[1]);
    reader.close();
    expect(counted).toBe(answered);
  });

  it('holds ten thousand idle connections, and counts over all of them', { timeout: 120_000 }, async () => {
    const clients: RawClient[] = [];
    for (let i = 0; i < 100; i++) {
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(open)))));
    }
    const replies = await Promise.all(clients.map((client) => client.call('INCR', 'a')));
    expect(new Set(replies).size).toBe(10_000);
    expect(replies).toContain(':10000\r\n');
    for (const client of clients) client.close();
  });
});
