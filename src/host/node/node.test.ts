// The ports on the real system. What a disk does to a program that crashes is the simulator's to play.

import { cp, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeDisk } from './disk.ts';
import { nodeHost } from './node.ts';

let directory: string;
let disk: NodeDisk;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-disk-'));
  disk = new NodeDisk(directory);
});

afterEach(() => rm(directory, { recursive: true }));

describe('a disk', () => {
  it('creates files that do not exist and opens those that do', async () => {
    await expect(disk.open('a', 'read')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.open('a', 'write')).rejects.toMatchObject({ code: 'ENOENT' });
    await (await disk.open('a', 'create')).close();
    await expect(disk.open('a', 'create')).rejects.toMatchObject({ code: 'EEXIST' });
    await (await disk.open('a', 'write')).close();
  });

  it('writes all bytes where they belong, and reads fewer only at the end', async () => {
    const file = await disk.open('bytes', 'create');
    await file.write(Uint8Array.of(1, 2, 3), 2);
    await file.write(Uint8Array.of(9), 0);
    await file.sync();
    expect(await file.size()).toBe(5);
    const target = new Uint8Array(8);
    expect(await file.read(target, 1)).toBe(4);
    expect([...target]).toEqual([0, 1, 2, 3, 0, 0, 0, 0]);
    expect(await file.read(target, 5)).toBe(0);
    await file.truncate(3);
    expect(await file.size()).toBe(3);
    await file.close();
  });

  it('writes more than one call to the system takes', async () => {
    const file = await disk.open('large', 'create');
    const bytes = new Uint8Array(9 * 1024 * 1024).map((_, i) => i % 251);
    await file.write(bytes, 512);
    const target = new Uint8Array(bytes.length);
    expect(await file.read(target, 512)).toBe(bytes.length);
    expect(Buffer.compare(bytes, target)).toBe(0);
    await file.close();
  });

  it('does not write through a file that was opened for reading', async () => {
    await (await disk.open('bytes', 'create')).close();
    const file = await disk.open('bytes', 'read');
    await expect(file.write(Uint8Array.of(1), 0)).rejects.toMatchObject({ code: 'EBADF' });
    await file.close();
  });

  it('lists plain files only, renames over what is there, and unlinks', async () => {
    for (const name of ['a', 'b']) await (await disk.open(name, 'create')).close();
    await symlink('a', join(directory, 'link'));
    await disk.rename('b', 'a');
    await disk.syncDirectory();
    expect((await disk.list()).sort()).toEqual(['a']);
    await disk.unlink('a');
    await expect(disk.unlink('a')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.rename('a', 'b')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

it('a disk writes nothing into another directory that has taken the place of its own', async () => {
  const path = join(directory, 'place');
  await mkdir(path);
  const here = new NodeDisk(path);
  await (await here.open('a', 'create')).close();
  await rename(path, `${path}-before`);
  await cp(`${path}-before`, path, { recursive: true });
  for (const [name, mode] of [
    ['a', 'write'],
    ['b', 'create'],
  ] as const) {
    await expect(here.open(name, mode)).rejects.toMatchObject({ code: 'ENOENT' });
  }
  await rm(path, { recursive: true });
  await rename(`${path}-before`, path);
  await (await here.open('a', 'write')).close();
});

describe('a clock', () => {
  const { clock } = nodeHost();

  it('tells whole milliseconds of the day, and of a time that never goes back', () => {
    expect(Number.isInteger(clock.nowMs())).toBe(true);
    const first = clock.monotonicMs();
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(first);
  });

  it('calls back once, in the order of the delays, and not what was cancelled', async () => {
    const called: string[] = [];
    await new Promise<void>((resolve) => {
      clock.schedule(1, () => called.push('cancelled')).cancel();
      // A delay beyond what a timer of the system takes must not be cut to nothing.
      const far = clock.schedule(2 ** 40, () => called.push('far'));
      clock.schedule(5, () => called.push('first'));
      clock.soon(() => called.push('soon'));
      clock.schedule(30, () => {
        far.cancel();
        resolve();
      });
    });
    expect(called).toEqual(['soon', 'first']);
  });
});

it('gives random bytes that own their memory', () => {
  const { random } = nodeHost();
  const bytes = random.bytes(16);
  expect(bytes.buffer.byteLength).toBe(16);
  expect(Buffer.compare(bytes, random.bytes(16))).not.toBe(0);
});
