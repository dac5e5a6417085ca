// The embedded engine in a process that is killed: what was flushed is there, and nothing that was not added.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { open } from '../../src/server/embed.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';

const ROUNDS = 10;
const program = fileURLToPath(new URL('./embed-counter.ts', import.meta.url));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-embed-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

interface Run {
  before: bigint;
  tried: bigint;
  acknowledged: bigint;
}

/** Lets a process count until it has said so many lines, kills it, and tells what it had said by then. */
async function countAndKill(directory: string, lines: number): Promise<Run> {
  const child = spawn(process.execPath, [program, directory, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const run: Run = { before: -1n, tried: 0n, acknowledged: 0n };
  let said = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, number = ''] = line.split(' ');
    run[what as keyof Run] = BigInt(number);
    if (++said === lines) child.kill('SIGKILL');
  }
  return run;
}

describe(`an embedding process, seed ${seed}`, () => {
  it('that is killed has lost nothing that was flushed, and counted nothing twice', async () => {
    const random = new SeededRandom(seed);
    const directory = join(root, 'data');
    let least = 0n;
    let most = 0n;
    for (let round = 0; round < ROUNDS; round++) {
      const { before, tried, acknowledged } = await countAndKill(directory, 2 + random.below(60));
      expect(before, `seed ${seed}, round ${round}`).toBeGreaterThanOrEqual(least);
      expect(before, `seed ${seed}, round ${round}`).toBeLessThanOrEqual(most);
      least = before + acknowledged;
      most = before + tried;
    }
    await using tally = await open({ dir: directory });
    const total = await tally.get('total');
    expect(total).toBeGreaterThanOrEqual(least);
    expect(total).toBeLessThanOrEqual(most);
    expect(total).toBeGreaterThan(0n);
  });

  it('imports the package by its name, and may end without closing', async () => {
    const directory = join(root, 'package');
    const script = `
      const { CountingError, open, StartError } = await import('tallyd');
      const tally = await open({ dir: ${JSON.stringify(directory)} });
      tally.add('a', 3);
      await tally.flush();
      console.log(await tally.get('a'), CountingError.name, StartError.name);
    `;
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd, encoding: 'utf8' });
    expect(stdout).toBe('3n CountingError StartError\n');
    await using tally = await open({ dir: directory });
    expect(await tally.get('a')).toBe(3n);
  });

  it('is told by close that not everything is durable, and does not end before', async () => {
    const directory = join(root, 'full');
    const script = `
      const { open } = await import('tallyd');
      const count = async () => {
        const tally = await open({ dir: ${JSON.stringify(directory)} });
        for (let i = 0; i < 60_000; i++) tally.add('a name of some length:' + i);
        await tally.close().catch((error) => console.log(error.code));
      };
      void count();
    `;
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    // No file may grow beyond what an empty directory needs.
    const limited = ['-c', 'ulimit -f 1400 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', script];
    const { status, stdout } = spawnSync('/bin/bash', limited, { cwd, encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'outcome_unknown\n' });
  });

  it('keeps its directory from others while it lives', async () => {
    const directory = join(root, 'mine');
    const child = spawn(process.execPath, [program, directory, '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('before')) break;
      await expect(open({ dir: directory })).rejects.toThrow(`in use by process ${child.pid}`);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
