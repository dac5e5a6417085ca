// What HTTP and RESP say of counters that nodes share, on real processes: what works across nodes, what is refused, and
// what is said while the store is away.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TallydClient } from '../../src/client/client.ts';
import { lacks } from '../programs.ts';
import { frame, RespConnection } from '../wire/counting-clients.ts';
import { eventually } from './eventually.ts';
import { http, RegionBench, resp } from './region-bench.ts';
import type { RegionNode } from './region-node.ts';

const ROUNDS = 30;
const MANY = 5_000;
const POLICIES = `policies:
  - match: "local:*"
    scope: local
  - match: "confirmed:*"
    ack: store
  - match: "partial:*"
    partial: true
`;

describe.skipIf(lacks('initdb'))('shared counters at the doors', () => {
  let bench: RegionBench;
  let a: RegionNode;
  let b: RegionNode;

  beforeAll(async () => {
    bench = await RegionBench.open();
    const config = join(bench.root, 'tallyd.yaml');
    await writeFile(config, POLICIES);
    [a, b] = await Promise.all([bench.start('a', '--config', config), bench.start('b', '--config', config)]);
  });
  afterAll(() => bench.close());

  const shows = (node: RegionNode, name: string, value: bigint): Promise<void> =>
    eventually(`${node.name} shows ${name} as ${value}`, async () => (await node.values([name])).get(name) === value);

  it.each(['EXPIRE x 10', 'SET x 1 EX 10', 'SETEX x 10 1', 'INCREX x BYINT 1 EX 10', 'SET x 1 NX EX 5'])(
    'RESP refuses %s, and changes nothing',
    async (command) => {
      const [reply] = await resp(a, command);
      expect(reply).toMatch(/^-ERR bounds, deadlines, .* not supported on a shared counter$/);
      expect(await resp(a, 'EXISTS x')).toEqual([':0']);
    },
  );

  it('RESP refuses a transaction, and changes nothing', async () => {
    const connection = await RespConnection.open(a.server.resp);
    const commands = ['MULTI', 'INCR x', 'INCR local:y', 'EXEC', 'INCR z'];
    connection?.send(commands.map((command) => frame(...command.split(' '))).join(''));
    const lines = (await connection?.lines(7))?.split('\r\n') ?? [];
    connection?.close();
    expect(lines.slice(0, 4)).toEqual(['+OK', '+QUEUED', '+QUEUED', '*2']);
    for (const line of lines.slice(4, 6)) expect(line).toMatch(/^-ERR .*transactions are not supported on a shared/);
    // What was sent around it is none of its business.
    expect(lines[6]).toBe(':1');
    expect(await resp(a, 'EXISTS x y local:y')).toEqual([':0']);
  });

  it.each<[string, string, string, object]>([
    ['a key', 'POST', '/v1/counters/x/increment', { body: {}, headers: { 'idempotency-key': 'k' } }],
    ['a floor', 'POST', '/v1/counters/x/increment', { body: { floor: 0 } }],
    ['a deadline', 'PUT', '/v1/counters/x', { body: { value: 1, ttl: 1000 } }],
    ['an atomic batch', 'POST', '/v1/batch', { body: { atomic: true, updates: [{ name: 'x' }, { name: 'y' }] } }],
    ['a strong read', 'GET', '/v1/counters/x?consistency=strong', {}],
  ])('HTTP refuses %s by code, and changes nothing', async (_what, method, path, request) => {
    const { status, body } = await http(a, method, path, request);
    expect({ status, code: body['code'] }).toEqual({ status: 501, code: 'needs_authority' });
    expect(await resp(a, 'EXISTS x y')).toEqual([':0']);
  });

  it('sets, replaces and deletes across nodes', async () => {
    expect(await resp(a, 'SET likes 40', 'INCR likes')).toEqual(['+OK', ':41']);
    await shows(b, 'likes', 41n);
    expect(await resp(b, 'GETSET likes 7')).toEqual(['$2']);
    await shows(a, 'likes', 7n);
    expect(await resp(a, 'INCRBY likes 10')).toEqual([':17']);
    expect(await resp(a, 'DEL likes')).toEqual([':1']);
    await eventually('it is gone everywhere', async () => (await b.read(['likes']))[0]?.exists === false);
    expect(await resp(b, 'INCR likes')).toEqual([':1']);
    await shows(a, 'likes', 1n);
  });

  it('a listing says that it has only what the node holds', async () => {
    expect((await http(a, 'GET', '/v1/counters')).body).toMatchObject({ onlyHeld: true });
  });

  it('a session reads its own updates on another node', { timeout: 120_000 }, async () => {
    for (let round = 1; round <= ROUNDS; round++) {
      const { session } = await http(a, 'POST', '/v1/counters/mine/increment', { body: {} });
      const { body } = await http(b, 'GET', '/v1/counters/mine', { headers: { 'tallyd-session': session ?? '' } });
      expect(body['value']).toBe(`${round}`);
      const { session: set } = await http(a, 'PUT', '/v1/counters/my-set', { body: { value: round } });
      const { body: setBody } = await http(b, 'GET', '/v1/counters/my-set', {
        headers: { 'tallyd-session': set ?? '' },
      });
      expect(setBody['value']).toBe(`${round}`);
    }
    const { status, body } = await http(b, 'GET', '/v1/counters/mine', { headers: { 'tallyd-session': 'made up' } });
    expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'invalid_session' });
  });

  it('the SDK reads its own updates through a balancer that takes another node each time', {
    timeout: 120_000,
  }, async () => {
    const urls = [a, b].map(({ server }) => `http://127.0.0.1:${server.http?.port}`);
    let turn = 0;
    const client = new TallydClient({
      url: 'http://balancer',
      fetch: (url, init) => fetch(url.replace('http://balancer', urls[turn++ % 2] ?? ''), init),
    });
    for (let i = 1; i <= ROUNDS; i++) {
      await client.increment('balanced');
      expect(await client.get('balanced')).toBe(BigInt(i));
      if (i % 3 === 0) turn++;
    }
  });

  it('a region read contains what the store has confirmed', { timeout: 120_000 }, async () => {
    for (let round = 1; round <= ROUNDS; round++) {
      await http(a, 'POST', '/v1/counters/confirmed:x/increment', { body: {} });
      const { body } = await http(b, 'GET', '/v1/counters/confirmed:x?consistency=region');
      expect(body['value']).toBe(`${round}`);
      expect(Date.parse(String(body['asOf']))).toBeGreaterThan(0);
    }
  });

  it('what a policy calls local stays on its node, with all its kinds of updates', async () => {
    expect(await resp(a, 'INCRBY local:x 5', 'EXPIRE local:x 1000')).toEqual([':5', ':1']);
    expect(await resp(b, 'INCRBY local:x 7')).toEqual([':7']);
    expect((await a.values(['local:x'], 'region')).get('local:x')).toBe(5n);
    expect((await b.values(['local:x'], 'region')).get('local:x')).toBe(7n);
    expect(await resp(a, 'MULTI', 'INCR local:x', 'EXEC')).toEqual(['+OK', '+QUEUED', '*1']);
  });

  it('with little memory counters leave, and come back exact', { timeout: 240_000 }, async () => {
    const small = await bench.start('small', '--memory', '1MiB');
    const names = Array.from({ length: MANY }, (_, i) => `many:${i}`);
    const connection = await RespConnection.open(small.server.resp);
    for (let round = 0; round < 2; round++) {
      for (let from = 0; from < MANY; from += 200) {
        const page = names.slice(from, from + 200);
        connection?.send(page.map((name) => frame('INCRBY', name, '3')).join(''));
        const replies = (await connection?.lines(page.length))?.split('\r\n') ?? [];
        expect(replies.slice(0, -1).filter((reply) => reply !== `:${3 * (round + 1)}`)).toEqual([]);
      }
    }
    connection?.close();
    expect((await small.storeState()).evicted).toBeGreaterThan(MANY / 2);
    for (const node of [a, small]) {
      for (let from = 0; from < MANY; from += 100) {
        const page = names.slice(from, from + 100);
        await eventually('all are exact', async () =>
          [...(await node.values(page)).values()].every((value) => value === 6n),
        );
      }
    }
    expect(await small.stop()).toBe(0);
  });

  describe('while the store is away', () => {
    beforeAll(async () => {
      await resp(a, 'INCRBY known 5', 'INCRBY partial:x 5');
      await resp(b, 'INCRBY known 6', 'INCRBY cold 100');
      await shows(a, 'known', 11n);
      await b.stop();
      await bench.store.stop();
      await b.start();
    });

    it('a counter that is known is counted and read as ever', async () => {
      expect(await resp(a, 'INCR known', 'GET known')).toEqual([':12', '$2']);
      expect((await http(a, 'GET', '/v1/counters/known')).body).toMatchObject({ value: '12' });
    });

    it('RESP asks to try again for one that is not, and applies nothing', async () => {
      const away = /^-TRYAGAIN the store does not answer/;
      for (const reply of await resp(b, 'INCR cold', 'GET cold', 'SET known 1', 'DEL known'))
        expect(reply).toMatch(away);
      expect((await resp(a, 'SET known 1'))[0]).toMatch(away);
    });

    it('HTTP says null, and what this node has counted', async () => {
      expect((await http(b, 'GET', '/v1/counters/cold')).body).toMatchObject({ value: null, own: '100' });
      const added = await http(b, 'POST', '/v1/counters/cold/increment', { body: { by: 11 } });
      expect(added.body).toMatchObject({ value: null, own: '111', applied: '11' });
      expect((await http(a, 'GET', '/v1/counters/never-seen')).body).toMatchObject({ value: null, own: '0' });
    });

    it('a policy lets RESP count on what it does not know', async () => {
      expect(await resp(b, 'INCR partial:x')).toEqual([':1']);
    });

    it('region reads and sessions are refused by code', async () => {
      const { status, body } = await http(a, 'GET', '/v1/counters/known?consistency=region');
      expect({ status, code: body['code'] }).toEqual({ status: 503, code: 'store_away' });
    });

    it('and when it is back everything is there', async () => {
      await bench.store.startAgain();
      for (const node of [a, b]) {
        await shows(node, 'known', 12n);
        await shows(node, 'cold', 111n);
        await shows(node, 'partial:x', 6n);
      }
    });
  });
});
