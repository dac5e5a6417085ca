// A stop while everything that it could wait for hangs: the store, a client that does not read, updates that wait for
// the store. It ends cleanly within its budget all the same, and nothing that was answered is lost.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { frame } from '../wire/counting-clients.ts';
import { eventually } from './eventually.ts';
import { http, RegionBench } from './region-bench.ts';
import type { RegionNode } from './region-node.ts';

const UPDATES = 20;
/** More than what the kernel takes for one who does not read. */
const ECHOES = 200;
const ECHO_BYTES = 60_000;

describe.skipIf(lacks('initdb'))('a stop', () => {
  let bench: RegionBench;
  let node: RegionNode;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    bench = await RegionBench.open();
    node = await bench.start('a', '--ack', 'store');
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await bench.close();
  });

  /** Asks for more than it ever reads. */
  async function neverReads(): Promise<void> {
    const { host, port } = node.server.resp ?? { host: '', port: 0 };
    const socket = connect(port, host);
    sockets.push(socket);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.pause();
    socket.write(frame('PING', 'a'.repeat(ECHO_BYTES)).repeat(ECHOES));
  }

  const increment = (name: string): Promise<number> =>
    http(node, 'POST', `/v1/counters/${name}/increment`, { body: {} }).then(
      ({ status }) => status,
      () => 0,
    );

  it('while the store hangs, ends cleanly, and the next start has everything', { timeout: 180_000 }, async () => {
    expect(await increment('warm')).toBe(200);
    await neverReads();
    bench.store.pause();
    // Durable here, and answered only when the store has confirmed it; and of one that is not known here.
    const waiting = Array.from({ length: UPDATES }, (_, i) => increment(i % 2 === 0 ? 'warm' : `cold:${i}`));
    await eventually('all are counted', async () => {
      const { value } = (await http(node, 'GET', '/v1/counters/warm')).body;
      return value === `${1 + UPDATES / 2}`;
    });
    const { server } = node;
    const code = await node.stop();
    expect({ code, last: server.output.stderr.trim().split('\n').at(-1) }).toMatchObject({
      code: 0,
      last: expect.stringContaining('"stopped"'),
    });
    for (const status of await Promise.all(waiting)) expect(status).not.toBe(200);
    bench.store.resume();
    await node.start();
    const other = await bench.start('b');
    for (const one of [node, other]) {
      await eventually('what was durable is counted once', async () => {
        return (await one.values(['warm'], 'region')).get('warm') === BigInt(1 + UPDATES / 2);
      });
    }
    expect(await node.stop()).toBe(0);
    expect(await other.stop()).toBe(0);
  });
});
