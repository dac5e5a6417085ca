// `tallyd backup` beside a real server under load, and beside none: the copy starts, is whole, and has everything that
// was acknowledged before the command began.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import { KeyedHttpClient, PlainHttpClient, RespClient, readCounts, TransactionClient } from './counting-clients.ts';
import { runTallyd, ServerProcess, stopServers } from './server-process.ts';

const ROUNDS = 4;
const UPDATES_MAX = 9_000;

let root: string;
let data: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-backup-'));
  data = join(root, 'data');
});
afterEach(async () => {
  await stopServers();
  await rm(root, { recursive: true, force: true });
});

it(`a backup under load holds what was acknowledged before it, seed ${seed}`, async () => {
  // Small, so that snapshots and new segments come while it is made.
  const server = await ServerProcess.start({ data, flags: ['--snapshot-journal-bytes', '256KiB'] });
  const kinds = [TransactionClient, RespClient, KeyedHttpClient, PlainHttpClient, RespClient];
  const clients = kinds.map((Kind, index) => new Kind(index, new SeededRandom(seed + index)));
  const names = clients.map(({ own }) => own);
  const running = clients.map((client) => client.run(server, UPDATES_MAX));
  const acknowledged: bigint[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    acknowledged.push(clients.map((client) => BigInt(client.acknowledged)));
    const made = await runTallyd(['backup', '--json', data, join(root, `copy-${round}`)]);
    expect(made, made.stderr).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(made.stdout)).toMatchObject({ target: join(root, `copy-${round}`) });
  }
  await Promise.all([server.end('SIGKILL'), ...running]);
  const attempted = clients.map((client) => BigInt(client.attempted));
  for (let round = 0; round < ROUNDS; round++) {
    const target = join(root, `copy-${round}`);
    expect(await runTallyd(['verify', target])).toMatchObject({ code: 0 });
    const restored = await ServerProcess.start({ data: target });
    const counts = await readCounts(restored, names);
    for (const [i, count] of counts.entries()) {
      const least = acknowledged[round]?.[i] ?? 0n;
      const message = `round ${round}: ${names[i]}: ${least} <= ${count} <= ${attempted[i]}`;
      expect(count >= least && count <= (attempted[i] ?? 0n), message).toBe(true);
    }
    await restored.end('SIGKILL');
  }
  expect(acknowledged.at(-1)?.every((count) => count > 0n)).toBe(true);
  expect((await readdir(root)).filter((name) => name.includes('unfinished'))).toEqual([]);
});

it('a backup of a stopped server is whole, leaves the baton and the owner behind, and takes no place that is taken', async () => {
  const server = await ServerProcess.start({ data });
  const client = new PlainHttpClient(0, new SeededRandom(seed));
  await client.run(server, 20);
  await server.end('SIGTERM');
  const identity = JSON.parse(await readFile(join(data, 'replica.json'), 'utf8')) as object;
  // As an earlier version wrote it.
  const early = { ...identity, format: 1, crc32: undefined, baton: 'ab'.repeat(16) };
  await writeFile(join(data, 'replica.json'), JSON.stringify(early));
  const target = join(root, 'copy');
  expect(await runTallyd(['backup', data, target])).toMatchObject({ code: 0 });
  expect(JSON.parse(await readFile(join(target, 'replica.json'), 'utf8'))).toEqual(identity);
  expect(await readdir(target)).not.toContain('owner.json');
  expect(await runTallyd(['verify', target])).toMatchObject({ code: 0 });
  const again = await runTallyd(['backup', data, target]);
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('is there already') });
  const inside = await runTallyd(['backup', data, join(data, 'copy')]);
  expect(inside).toMatchObject({ code: 1, stderr: expect.stringContaining('outside of what is copied') });
  await mkdir(join(root, 'empty'));
  const nothing = await runTallyd(['backup', join(root, 'empty'), join(root, 'copy-2')]);
  expect(nothing).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no journal') });
  expect((await readdir(root)).sort()).toEqual(['copy', 'data', 'empty']);
  const restored = await ServerProcess.start({ data: target });
  expect(await readCounts(restored, [client.own])).toEqual([BigInt(client.acknowledged)]);
});
