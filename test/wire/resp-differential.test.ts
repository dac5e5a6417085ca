// The same requests to Tallyd and to a redis-server: the replies are the same bytes, except for the differences that
// are listed in resp-scripts.ts and in docs/resp.md.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { lacks } from '../programs.ts';
import { seed } from '../seed.ts';
import { RawClient, words } from './raw-client.ts';
import { RedisProcess } from './redis-process.ts';
import { RespDoor } from './resp-door.ts';
import { DIFFERENCES, ENDINGS, MAX, MIN, SAME, type Script, SECRET, UNAUTHENTICATED } from './resp-scripts.ts';

const DOCS = new URL('../../docs/resp.md', import.meta.url);

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Both servers. */
interface Pair {
  readonly ours: RespDoor;
  readonly theirs: RedisProcess;
}

async function names(address: Address): Promise<string[]> {
  const client = await RawClient.connect(address);
  const reply = await client.call('KEYS', '*');
  client.close();
  return reply.split('\r\n').sort();
}

describe.skipIf(lacks('redis-server'))(`the same bytes as Redis, seed ${seed}`, () => {
  let root: string;
  let open: Pair;
  let closed: Pair;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tallyd-differential-'));
    open = { ours: await RespDoor.open(), theirs: await RedisProcess.start(root) };
    closed = {
      ours: await RespDoor.open({ secret: SECRET, limits: { penaltyMs: 0 } }),
      theirs: await RedisProcess.start(root, ['--requirepass', SECRET]),
    };
  });

  afterAll(async () => {
    await Promise.all([open, closed].flatMap(({ ours, theirs }) => [ours.close(), theirs.stop()]));
    await rm(root, { recursive: true, force: true });
  });

  for (const protocol of ['2', '3']) {
    it.each(Object.entries(SAME))(`RESP${protocol}: %s`, async (_, script) => {
      await forget(open);
      const [ours, theirs] = await both(open, [`HELLO ${protocol}`, ...script]);
      // HELLO tells a connection's number.
      expect(ours.slice(1)).toEqual(theirs.slice(1));
    });
  }

  it.each(Object.entries(ENDINGS))('the end of a connection: %s', async (_, bytes) => {
    const { ours, theirs } = open;
    expect(await ending(ours.gateway.address, bytes)).toBe(await ending(theirs.address, bytes));
  });

  it('random pipelines, and the counters that they leave', async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 40; round++) {
      await forget(open);
      const script = randomScript(random);
      const [ours, theirs] = await Promise.all([
        pipelined(open.ours.gateway.address, script, random),
        pipelined(open.theirs.address, script, random),
      ]);
      expect(ours, `seed ${seed}, round ${round}`).toEqual(theirs);
      expect(await names(open.ours.gateway.address)).toEqual(await names(open.theirs.address));
    }
  });

  it.each(DIFFERENCES.map((each) => [each.what, each] as const))('differs: %s', async (what, { script, ours }) => {
    await forget(open);
    const [mine, other] = await both(open, script);
    expect(mine.at(-1)).toMatch(/ => /);
    expect(mine.at(-1)?.split(' => ').at(-1)?.startsWith(ours), mine.at(-1)).toBe(true);
    expect(other.at(-1)).not.toBe(mine.at(-1));
    expect(await readFile(DOCS, 'utf8')).toContain(what);
  });

  it('says the same to who has not authenticated', async () => {
    const [ours, theirs] = await both(closed, UNAUTHENTICATED);
    expect(ours).toEqual(theirs);
  });

  it.each([
    ['many arguments', '*11\r\n'],
    ['a long argument', '*2\r\n$4\r\nECHO\r\n$16385\r\n'],
  ])('ends on %s from who has not authenticated', async (_, bytes) => {
    const { ours, theirs } = closed;
    expect(await ending(ours.gateway.address, bytes)).toBe(await ending(theirs.address, bytes));
  });
});

/** Requests whose replies do not depend on the clock. */
function randomScript(random: SeededRandom): string[] {
  const key = (): string => random.pick(['a', 'b', 'c', 'd']);
  const integer = (): string => random.pick(['0', '1', '-1', '7', '-300', '4294967296', '9007199254740993', MAX, MIN]);
  const amount = (): string => (random.chance(0.9) ? integer() : random.pick(['x', '1.0', '+1', '00', '']));
  const time = (): string => random.pick(['2000000000', '2000000001', '1999999999', '1', '-1', '0', 'x']);
  const option = (): string =>
    random.pick(['', ' NX', ' XX', ' GET', ' KEEPTTL', ' NX GET', ' NX XX', ` EXAT ${time()}`]);
  const makers: readonly (() => string)[] = [
    () => `INCR ${key()}`,
    () => `DECR ${key()}`,
    () => `INCRBY ${key()} ${amount()}`,
    () => `DECRBY ${key()} ${amount()}`,
    () => `GET ${key()}`,
    () => `MGET ${key()} ${key()} ${key()}`,
    () => `EXISTS ${key()} ${key()}`,
    () => `TYPE ${key()}`,
    () => `DEL ${key()} ${key()}`,
    () => `SET ${key()} ${integer()}${option()}`,
    () => `SETNX ${key()} ${integer()}`,
    () => `GETSET ${key()} ${integer()}`,
    () => `GETDEL ${key()}`,
    () => `GETEX ${key()}${random.pick(['', ' PERSIST', ` EXAT ${time()}`])}`,
    () => `EXPIREAT ${key()} ${time()}${random.pick(['', ' NX', ' XX', ' GT', ' LT', ' XX GT', ' XX LT', ' LT XX'])}`,
    () => `PEXPIREAT ${key()} ${time()}000`,
    () => `PERSIST ${key()}`,
    () => `EXPIRETIME ${key()}`,
    () => `PEXPIRETIME ${key()}`,
    () => 'PING',
    () => random.pick(['MULTI', 'EXEC', 'EXEC', 'DISCARD']),
    () => random.pick(['NOSUCH', 'INCR', 'GET', 'SELECT 0', 'UNWATCH']),
  ];
  return Array.from({ length: 300 }, () => random.pick(makers)());
}

/** All replies to a pipeline that arrives in pieces of any size. */
async function pipelined(address: Address, script: readonly string[], random: SeededRandom): Promise<string[]> {
  const client = await RawClient.connect(address);
  const bytes = Buffer.concat(script.map((line) => words(line)));
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(random.pick([10, 100, 5000]));
    client.send(bytes.subarray(at, end));
    at = end;
    if (random.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
  }
  const all: string[] = [];
  for (const line of script) all.push(`${line} => ${await client.reply()}`);
  client.close();
  return all;
}

/** Deletes the counters that scripts use. */
async function forget(pair: Pair): Promise<void> {
  await both(pair, ['DEL a b c d new newer q']);
}

/** The replies of both servers, each beside what it answers. */
async function both({ ours, theirs }: Pair, script: Script): Promise<[string[], string[]]> {
  return Promise.all([replies(ours.gateway.address, script), replies(theirs.address, script)]);
}

async function replies(address: Address, script: Script): Promise<string[]> {
  const client = await RawClient.connect(address);
  const all: string[] = [];
  for (const line of script) {
    const bytes = typeof line === 'string' ? words(line) : line;
    client.send(bytes);
    all.push(`${Buffer.from(bytes).toString('latin1')} => ${await client.reply()}`);
  }
  client.close();
  return all;
}

/** Everything that the server says before it ends the connection. */
async function ending(address: Address, bytes: string): Promise<string> {
  const client = await RawClient.connect(address);
  client.send(bytes);
  const rest = await client.rest();
  client.close();
  return rest;
}
