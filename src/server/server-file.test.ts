import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { KnownServers, SERVERS_MAX } from '../store/redis/known-servers.ts';
import { parseRedisUrl } from '../store/redis/redis-url.ts';
import { ServerFile } from './server-file.ts';

const FILE = 'servers.json';
const TEXT_TOO_LONG = 100_000;
const URL = 'redis://user:secret@a,b:7000';

const ignored = (): void => undefined;

async function reopened(disk: SimulatedDisk, url = URL, onDamaged: (what: string) => void = ignored): Promise<unknown> {
  return new KnownServers(parseRedisUrl(url), await ServerFile.open(disk, onDamaged)).addresses;
}

async function write(disk: SimulatedDisk, content: string): Promise<void> {
  if ((await disk.list()).includes(FILE)) await disk.unlink(FILE);
  const file = await disk.open(FILE, 'create');
  await file.write(new TextEncoder().encode(content), 0);
}

it('servers.json is as docs/formats.md has it, without the secrets of the URL, and is read again under that URL only', async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const memory = await ServerFile.open(disk, ignored);
  const named = [
    { host: '10.0.0.2', port: 7001 },
    { host: '::1', port: 7002 },
  ];
  const known = new KnownServers(parseRedisUrl(URL), memory);
  known.named(named);
  known.named([]);
  await memory.written();
  expect(new TextDecoder().decode(disk.content(FILE))).toBe(`{
  "format": 1,
  "place": "redis://a:6379,b:7000",
  "servers": [
    "10.0.0.2:7001",
    "[::1]:7002"
  ],
  "crc32": "4fa2f57b"
}
`);
  const crashed = disk.crash();
  expect(await reopened(crashed)).toEqual(named);
  expect(await reopened(crashed, 'redis://other@a,b:7000')).toEqual(named);
  for (const url of ['redis://a', 'rediss://a,b:7000', 'redis+sentinel://a:6379,b:7000/main'])
    expect(await reopened(crashed, url)).toEqual([]);
});

it('what is no such file is as none, and no more of it is taken than a store has servers', async () => {
  const disk = new SimulatedDisk({ seed: 2 });
  const [place, many] = ['redis://a:6379', Array.from({ length: 1_000 }, (_, i) => `h:${i + 1}`)];
  for (const content of ['', '{', 'null', '[]', '{"format":2,"place":"redis://a:6379","servers":["h:1"]}']) {
    await write(disk, content);
    const told: string[] = [];
    expect(await reopened(disk, 'redis://a', (what) => told.push(what))).toEqual([]);
    expect(told).toEqual([expect.stringContaining('servers.json: it')]);
  }
  await write(
    disk,
    JSON.stringify({ format: 1, place, servers: ['h', 'h:1:2', 'h:70000', 'a b:1', '[::1]:1', 'h:2'] }),
  );
  expect(await reopened(disk, 'redis://a')).toEqual([
    { host: '::1', port: 1 },
    { host: 'h', port: 2 },
  ]);
  await write(disk, JSON.stringify({ format: 1, place, servers: many }));
  expect(await reopened(disk, 'redis://a')).toHaveLength(SERVERS_MAX);
  await write(disk, JSON.stringify({ format: 1, place, servers: many.concat('x'.repeat(TEXT_TOO_LONG)) }));
  expect(await reopened(disk, 'redis://a')).toEqual([]);
});
