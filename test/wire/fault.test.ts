// A real server on a disk whose writes and syncs fail now and then, as strace injects it: callers are told by code,
// what was acknowledged stays, a retry under the same key counts once, and the server goes on by itself when the disk
// does.

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { frame, RespConnection, readCounts, urlOf } from './counting-clients.ts';
import { runTallyd, ServerProcess, stopServers, TALLYD } from './server-process.ts';

const UPDATES = 60;
const ATTEMPTS_MAX = 200;
const RETRY_MS = 20;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-fault-'));
});
afterEach(async () => {
  await stopServers();
  await rm(root, { recursive: true, force: true });
});

/** Counts once under a key, however often it has to ask; tells the codes that it was refused with. */
async function countOnce(server: ServerProcess, counter: string, key: string): Promise<string[]> {
  const codes: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const request = { method: 'POST', headers: { 'idempotency-key': key } };
    const response = await fetch(`${urlOf(server)}/v1/counters/${counter}/increment`, request);
    const { code } = (await response.json()) as { code?: string };
    if (response.status === 200) return codes;
    codes.push(code ?? `status ${response.status}`);
    await delay(RETRY_MS);
  }
  throw new Error(`it was never counted: ${codes.join(' ')}`);
}

/** Increments over RESP; a closed connection means unknown, `-TRYAGAIN` that nothing has changed. */
async function countOverResp(server: ServerProcess, counter: string): Promise<{ least: bigint; most: bigint }> {
  let least = 0n;
  let most = 0n;
  let connection = await RespConnection.open(server.resp);
  for (let i = 0; i < UPDATES; i++) {
    connection?.send(frame('INCR', counter));
    const reply = await connection?.lines(1);
    if (reply?.startsWith(':')) least++;
    if (reply === undefined || reply.startsWith(':')) most++;
    else if (!reply.startsWith('-TRYAGAIN ')) throw new Error(`unexpected reply ${reply}`);
    else await delay(RETRY_MS);
    if (reply === undefined) connection = await RespConnection.open(server.resp);
  }
  connection?.close();
  return { least, most };
}

describe.skipIf(lacks('strace'))('a disk that fails now and then (needs strace)', () => {
  it.each([
    ['fdatasync', 'EIO'],
    ['pwrite64', 'EIO'],
    ['pwrite64', 'ENOSPC'],
  ])('%s with %s: nothing acknowledged is lost, and keyed retries count once', async (call, error) => {
    const data = join(root, 'data');
    // The first calls make the segment; without it there would be no start.
    const inject = `inject=${call}:error=${error}:when=6+9`;
    const under = ['strace', '-f', '-qq', '-e', `trace=${call}`, '-e', inject, '-o', join(root, 'strace')];
    const server = await ServerProcess.start({ data, under });
    // A counter of its own for each: none is written again by a later update, so a failed group must be restated.
    const keyed = Array.from({ length: UPDATES }, (_, i) => `keyed:${i}`);
    const countKeyed = async (): Promise<string[]> => {
      const codes: string[] = [];
      for (const name of keyed) codes.push(...(await countOnce(server, name, `key of ${name}`)));
      return codes;
    };
    const [codes, { least, most }] = await Promise.all([countKeyed(), countOverResp(server, 'resp')]);
    // The faults were met, and nobody was told anything but what the catalogue says of them.
    expect(codes).toContain('outcome_unknown');
    expect(['outcome_unknown', 'unavailable', 'idempotency_unsettled']).toEqual(expect.arrayContaining(codes));
    const counted = await readWhenSettled(server, 'resp');
    expect(counted >= least && counted <= most, `${least} <= ${counted} <= ${most}`).toBe(true);
    const names = ['resp', ...keyed];
    const counts = [counted, ...keyed.map(() => 1n)];
    expect(await readCounts(server, names)).toEqual(counts);
    await server.end('SIGKILL');
    const again = await ServerProcess.start({ data });
    expect(await readCounts(again, names)).toEqual(counts);
    expect(await again.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await runTallyd(['verify', data])).toMatchObject({ code: 0 });
  });

  // Every second write fails: a new segment gets its header, and never what has to follow.
  it.each([12, 13])(
    'interval: what was answered is there after a kill in the middle of a repair, write %i',
    async (first) => {
      const data = join(root, 'data');
      const inject = `inject=pwrite64:error=ENOSPC:when=${first}+2`;
      const under = ['strace', '-f', '-qq', '-e', 'trace=pwrite64', '-e', inject, '-o', join(root, 'strace')];
      const server = await ServerProcess.start({ data, under, flags: ['--durability', 'interval'] });
      const connection = await RespConnection.open(server.resp);
      const answered: string[] = [];
      for (let i = 0; i < UPDATES; i++) {
        connection?.send(frame('INCR', `name:${i}`));
        if ((await connection?.lines(1))?.startsWith(':') !== true) break;
        answered.push(`name:${i}`);
      }
      expect(answered.length).toBeGreaterThan(0);
      // Time for some attempts at a repair.
      await delay(300);
      await server.end('SIGKILL');
      const again = await ServerProcess.start({ data });
      expect(await readCounts(again, answered)).toEqual(answered.map(() => 1n));
    },
  );

  it('a start on a disk that takes nothing is refused with a sentence, whatever tidying up meets', async () => {
    const data = join(root, 'data');
    await mkdir(data);
    const inject = 'inject=fsync,fdatasync,unlink:error=EIO';
    const under = ['-f', '-qq', '-e', 'trace=fsync,fdatasync,unlink', '-e', inject, '-o', join(root, 'strace')];
    const serve = [TALLYD, 'serve', '--http', 'off', '--resp', '127.0.0.1:0', '--data', data];
    const { status, stderr } = spawnSync('strace', [...under, process.execPath, ...serve], { encoding: 'utf8' });
    expect(stderr).toMatch(/^tallyd: data directory .*: cannot be used: the disk reports an error \(EIO\)/);
    expect(status).toBe(1);
  });
});

/** Reads are refused while the last update of a counter has no known outcome. */
async function readWhenSettled(server: ServerProcess, counter: string): Promise<bigint> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const response = await fetch(`${urlOf(server)}/v1/counters/${counter}?numbers=string`);
    if (response.status === 200) return BigInt(((await response.json()) as { value: string }).value);
    await delay(RETRY_MS);
  }
  throw new Error(`${counter} could not be read again`);
}
