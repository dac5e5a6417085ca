// How a directory meets a store for the first time, and what becomes of its copies: on real processes and a real
// PostgreSQL.

import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { PostgresProcess } from '../wire/postgres-process.ts';
import { runTallyd, ServerProcess } from '../wire/server-process.ts';
import { eventually } from './eventually.ts';
import { RegionBench, resp } from './region-bench.ts';
import { type RegionNode, runningReplicas } from './region-node.ts';

const NAMES = ['likes', 'views'];
const END_FLAGS = ['--http', '127.0.0.1:0', '--resp', '127.0.0.1:0', '--data'];

describe.skipIf(lacks('initdb'))('a directory and its store', () => {
  let bench: RegionBench;
  beforeEach(async () => {
    bench = await RegionBench.open();
  });
  afterEach(() => bench.close());

  /** Counts on a directory without a store. */
  const countAlone = async (name: string, ...commands: string[]): Promise<string> => {
    const data = join(bench.root, name);
    const server = await ServerProcess.start({ data });
    const node = { server } as RegionNode;
    await resp(node, ...commands);
    await server.end('SIGTERM');
    return data;
  };
  const copy = async (from: string, to: string): Promise<void> => {
    const filter = (path: string): boolean => !path.endsWith('.sock');
    await cp(join(bench.root, from), join(bench.root, to), { recursive: true, filter });
  };
  const refusal = async (name: string, store?: string): Promise<string> => {
    const environment: Record<string, string> = store === undefined ? {} : { TALLYD_STORE: store };
    const { code, stdout, stderr } = await runTallyd(['serve', ...END_FLAGS, join(bench.root, name)], environment);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr, 'no stack trace').not.toMatch(/\n\s+at /);
    return stderr;
  };
  const showsEverywhere = (nodes: readonly RegionNode[], likes: bigint, views: bigint): Promise<void> =>
    eventually(`every node shows ${likes} and ${views}`, async () => {
      const all = await Promise.all(nodes.map((node) => node.values(NAMES)));
      return all.every((values) => values.get('likes') === likes && values.get('views') === views);
    });

  it('sums what two directories have counted alone; a copy made before is refused', { timeout: 120_000 }, async () => {
    await countAlone('a', 'INCRBY likes 1000', 'INCRBY views 5');
    await countAlone('b', 'INCRBY likes 20', 'DECRBY views 7');
    await copy('a', 'copy');
    const [a, b] = await Promise.all([bench.start('a'), bench.start('b')]);
    await showsEverywhere([a, b], 1020n, -2n);
    expect(await refusal('copy', bench.store.url())).toContain(
      'is a copy of one that is attached to the store already',
    );
    await resp(a, 'INCRBY likes 300', 'INCR views');
    await resp(b, 'INCRBY likes 4000', 'INCR views');
    await showsEverywhere([a, b], 5320n, 0n);
    // Imports are folded at once, which changes no value.
    await a.kill();
    await a.start();
    await showsEverywhere([a, b], 5320n, 0n);
  });

  it('refuses a directory with deadlines, and says what to do', async () => {
    await countAlone('a', 'INCRBY likes 1000', 'SET views 1 EX 1000');
    expect(await refusal('a', bench.store.url())).toContain('a policy with "scope: local", or remove the deadlines');
    // Nothing has become of it.
    const alone = await ServerProcess.start({ data: join(bench.root, 'a') });
    expect(await resp({ server: alone } as RegionNode, 'GET likes', 'PERSIST views')).toEqual(['$4', '1000']);
    await alone.end('SIGTERM');
    const a = await bench.start('a');
    await showsEverywhere([a], 1000n, 1n);
  });

  it('refuses to count without the store, or with another one', { timeout: 120_000 }, async () => {
    const a = await bench.start('a');
    await resp(a, 'INCRBY likes 5');
    expect(await a.stop()).toBe(0);
    expect(await refusal('a')).toContain('--store');
    const another = await PostgresProcess.start(join(bench.root, 'another'));
    try {
      expect(await refusal('a', another.url())).toContain('belongs to another store');
    } finally {
      await another.stop();
    }
    await a.start();
    await resp(a, 'INCR views');
    await showsEverywhere([a], 5n, 1n);
  });

  it('is harmed by no copy, made while it runs or when it was stopped', { timeout: 120_000 }, async () => {
    const a = await bench.start('a');
    await resp(a, 'INCRBY likes 1000', 'INCR views');
    await copy('a', 'running');
    await resp(a, 'INCRBY likes 1000', 'INCR views');
    const running = await bench.start('running');
    await resp(a, 'INCRBY likes 1000', 'INCR views');
    await resp(running, 'INCRBY likes 10', 'INCR views');
    await showsEverywhere([a, running], 3010n, 4n);

    // The baton of a clean stop is redeemed by one of them.
    expect(await a.stop()).toBe(0);
    const before = await runningReplicas(bench.store.url());
    await copy('a', 'stopped');
    const stopped = await bench.start('stopped');
    await a.start();
    await Promise.all([a, stopped, running].map((node) => resp(node, 'INCRBY likes 100', 'INCR views')));
    await showsEverywhere([a, stopped, running], 3310n, 7n);
    expect(await runningReplicas(bench.store.url())).toHaveLength(before.length + 2);

    // Heirs of both copies fold what they can.
    await Promise.all([a, stopped, running].map((node) => node.kill()));
    await Promise.all([a, stopped, running].map((node) => node.start()));
    await Promise.all([a, stopped, running].map((node) => resp(node, 'INCRBY likes 100', 'INCR views')));
    await showsEverywhere([a, stopped, running], 3610n, 10n);
  });
});
