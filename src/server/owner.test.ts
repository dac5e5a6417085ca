import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { commit, group, open } from '../../test/simulation/journal-steps.ts';
import { DirectoryLost } from '../host/host.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { DamageError } from '../journal/errors.ts';
import { SECTOR_BYTES, segmentName } from '../journal/format.ts';
import { findOwner, takeOwnership } from './owner.ts';
import { isSameHost, type Machine, readOwnerDocument, writeFirstDocument, writeOwnerDocument } from './owner-file.ts';
import { listenAt } from './owner-socket.ts';

const here: Machine = { bootId: 'boot-1', machineId: 'machine-1', hostname: 'alpha' };
const rebooted: Machine = { ...here, bootId: 'boot-2' };
const elsewhere: Machine = { bootId: 'boot-3', machineId: 'machine-2', hostname: 'beta' };

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-owner-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Leaves the directory as a crash of its owner on `machine` does. */
async function crashOn(machine: Machine, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeOwnerDocument(new NodeDisk(directory), {
    ...machine,
    pid: 42,
    startedAt: '2026-11-22T00:00:00.000Z',
    released: false,
  });
}

describe('the data directory', () => {
  it('is made with its parents, for its user only', async () => {
    const owned = await takeOwnership(join(root, 'a/b/data'), { machine: here });
    expect((await stat(join(root, 'a/b/data'))).mode & 0o777).toBe(0o700);
    await owned.release();
  });

  it('is refused with a sentence when a file is in the way', async () => {
    await writeFile(join(root, 'file'), '');
    await expect(takeOwnership(join(root, 'file'))).rejects.toThrow(/there is a file of that name; name a directory/);
    await expect(takeOwnership(join(root, 'file/data'))).rejects.toThrow(/a part of the path is a file/);
  });

  it('is refused with a sentence when its path is no UTF-8, instead of another one being made', async () => {
    // As Node hands a program the bytes "d\xff".
    await expect(takeOwnership(join(root, 'd\uFFFD'))).rejects.toThrow(/its path is no UTF-8.*name another directory/);
    expect(await readdir(root)).toEqual([]);
  });

  it('is refused with a sentence when this user may not write there', async () => {
    await mkdir(join(root, 'locked'));
    await chmod(join(root, 'locked'), 0o555);
    await chmod(root, 0o755);
    await asNobody(async () => {
      await expect(takeOwnership(join(root, 'locked'))).rejects.toThrow(/this user may not write there/);
      await expect(takeOwnership(join(root, 'locked/data'))).rejects.toThrow(/this user may not write there/);
    });
  });

  it('is refused to a second open in the same process, and free after a release', async () => {
    const directory = join(root, 'data');
    const first = await takeOwnership(directory, { machine: here });
    expect(await findOwner(directory)).toBe(process.pid);
    await expect(takeOwnership(directory, { machine: here })).rejects.toThrow(/already open in this process/);
    await first.release();
    expect(await findOwner(directory)).toBeUndefined();
    await (await takeOwnership(directory, { machine: here })).release();
  });
});

const sockets = async (): Promise<string[]> => (await readdir(root)).filter((name) => name.endsWith('.sock'));

describe('files that are removed under the owner', () => {
  it('its socket: nobody else gets the directory, and the file is put up again', async () => {
    const owned = await takeOwnership(root, { machine: here });
    const [name = ''] = await sockets();
    for (let round = 0; round < 3; round++) {
      await rm(join(root, name));
      // On Linux by the name that is no file; elsewhere by the wait.
      const again = takeOwnership(root, { machine: here });
      if (process.platform !== 'linux') await owned.check();
      await expect(again).rejects.toThrow(/already open in this process/);
      await Promise.all([owned.check(), owned.check()]);
      expect(await readdir(root)).toEqual(['owner.json', name].sort());
      expect(await findOwner(root)).toBe(process.pid);
    }
    await owned.release();
    expect(await readdir(root)).toEqual(['owner.json']);
    await (await takeOwnership(root, { machine: here })).release();
  });

  it('an owner that does not see the other name has time to put its socket up again', async () => {
    const socket = `owner.${'ab'.repeat(8)}.sock`;
    await mkdir(root, { recursive: true });
    const record = { ...here, pid: 42, startedAt: '2026-11-22T00:00:00.000Z', released: false, socket };
    await writeOwnerDocument(new NodeDisk(root), record);
    const taking = takeOwnership(root, { machine: here, ownerLooksMs: 500 });
    const server = await listenAt(join(root, socket), () => 'owner 42');
    await expect(taking).rejects.toThrow(/in use by process 42/);
    await new Promise((resolve) => server.close(resolve));
    await (await takeOwnership(root, { machine: here, ownerLooksMs: 1 })).release();
  });

  it.each(['removed', 'replaced'])(
    'its record, %s: it has lost the directory, and leaves it as it is',
    async (what) => {
      const owned = await takeOwnership(root, { machine: here });
      await owned.check();
      if (what === 'removed') await rm(join(root, 'owner.json'));
      else await crashOn(elsewhere, root);
      const before = await readdir(root);
      await expect(owned.check()).rejects.toThrow(new RegExp(`owner.json was ${what} under the running process`));
      await expect(owned.check()).rejects.toThrow(DirectoryLost);
      await expect(owned.release()).rejects.toThrow(DirectoryLost);
      expect((await readdir(root)).sort()).toEqual(before.filter((name) => !name.endsWith('.sock')).sort());
    },
  );
});

it('a full disk gets room for the record from what a crash has left allocated behind the journal', async () => {
  let disk = new SimulatedDisk({ seed: 1 });
  const journal = await open(disk, { allocateBytes: 65_536 });
  await commit(journal, group(1n, 'a'));
  await commit(journal, group(2n, 'a'));
  disk = disk.kill();
  expect(disk.content(segmentName(1)).length).toBeGreaterThan(65_536);
  disk.failAt(2, 'ENOSPC');
  const record = { ...here, pid: 1, startedAt: '2026-11-22T00:00:00.000Z', released: false };
  await writeFirstDocument(disk, record);
  expect(await readOwnerDocument(disk)).toEqual(record);
  expect(disk.content(segmentName(1)).length).toBe(3 * SECTOR_BYTES);
  const again = await open(disk);
  expect(again.sequence).toBe(2n);
});

/** Root may write everywhere, so it becomes somebody else for a while. */
async function asNobody(work: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

describe('a directory that another host owned last', () => {
  it('is refused when it was not left cleanly, and stays as it was', async () => {
    await crashOn(elsewhere, root);
    const before = await readFile(join(root, 'owner.json'), 'utf8');
    await expect(takeOwnership(root, { machine: here })).rejects.toThrow(/used on host beta .*start with --take-over/);
    expect(await readFile(join(root, 'owner.json'), 'utf8')).toBe(before);
    expect(await readdir(root)).toEqual(['owner.json']);
  });

  it('starts with take-over', async () => {
    await crashOn(elsewhere, root);
    await (await takeOwnership(root, { machine: here, takeOver: true })).release();
  });

  it('starts by itself when it was left cleanly', async () => {
    await (await takeOwnership(root, { machine: elsewhere })).release();
    await (await takeOwnership(root, { machine: here })).release();
  });

  it('has a record as docs/formats.md has it, in which no bit can change unnoticed; one of an earlier version has no checksum', async () => {
    await crashOn(elsewhere, root);
    const disk = new NodeDisk(root);
    const file = join(root, 'owner.json');
    const bytes = await readFile(file);
    expect(bytes.toString()).toBe(`{
  "bootId": "boot-3",
  "machineId": "machine-2",
  "hostname": "beta",
  "pid": 42,
  "startedAt": "2026-11-22T00:00:00.000Z",
  "released": false,
  "crc32": "6694c220"
}
`);
    const record = await readOwnerDocument(disk);
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] ^= 1 << (bit & 7);
      await writeFile(file, damaged);
      await expect(readOwnerDocument(disk)).rejects.toThrow(DamageError);
    }
    await writeFile(file, JSON.stringify(record));
    expect(await readOwnerDocument(disk)).toEqual(record);
  });

  it('is unknown when the record is damaged, so that it needs take-over too', async () => {
    await writeFile(join(root, 'owner.json'), '{"hostname": 1}');
    await expect(takeOwnership(root, { machine: here })).rejects.toThrow(/last owner is unknown.*--take-over/);
    await (await takeOwnership(root, { machine: here, takeOver: true })).release();
  });
});

describe('the same host', () => {
  it.each<[string, Machine, Machine, boolean]>([
    ['after a crash', here, here, true],
    ['after a reboot', here, rebooted, true],
    ['under another name in the same boot, as a new container is', here, { ...here, hostname: 'c0ffee' }, true],
    ['is not one with another name and another boot', here, { ...rebooted, hostname: 'beta' }, false],
    ['is not one with another machine id and another boot', here, { ...rebooted, machineId: 'machine-2' }, false],
    ['is told by its name where there are no ids', noIds('alpha'), noIds('alpha'), true],
    ['is not one with another name where there are no ids', noIds('alpha'), noIds('beta'), false],
  ])('%s', (_what, last, now, same) => {
    expect(isSameHost(last, now)).toBe(same);
  });

  it('starts by itself after a reboot', async () => {
    await crashOn(here, root);
    await (await takeOwnership(root, { machine: rebooted })).release();
  });
});

function noIds(hostname: string): Machine {
  return { bootId: undefined, machineId: undefined, hostname };
}
