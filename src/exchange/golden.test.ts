import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { directLine, MemoryStore } from '../store/memory/memory-store.ts';
import { Identity, IdentityError } from './identity.ts';
import { readLease } from './lease.ts';
import { Membership } from './membership.ts';

const text = (disk: SimulatedDisk): string => new TextDecoder().decode(disk.content('replica.json'));

async function writeFile(disk: SimulatedDisk, content: string): Promise<void> {
  const file = await disk.open('replica.json', 'create');
  await file.write(new TextEncoder().encode(content), 0);
}

it('replica.json is as docs/formats.md has it', async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const identity = await Identity.open(disk, { bytes: (length) => new Uint8Array(length).fill(0xa1) });
  const directory = 'a1'.repeat(16);
  expect(JSON.parse(text(disk))).toEqual({ format: 1, directory, nextOrdinal: 1, incarnations: [] });
  await identity.change({
    attachment: { store: 's', isDurable: true, nonce: 'n', isRegistered: true, localPatterns: ['a*'] },
    nextOrdinal: 3,
    incarnations: [
      { ordinal: 0, id: directory, through: '17' },
      { ordinal: 2, id: 'b2'.repeat(16) },
    ],
    baton: 'c3',
    hasEvicted: true,
  });
  const golden = `{
  "format": 1,
  "directory": "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
  "nextOrdinal": 3,
  "incarnations": [
    {
      "ordinal": 0,
      "id": "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
      "through": "17"
    },
    {
      "ordinal": 2,
      "id": "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
    }
  ],
  "attachment": {
    "store": "s",
    "isDurable": true,
    "nonce": "n",
    "isRegistered": true,
    "localPatterns": [
      "a*"
    ]
  },
  "baton": "c3",
  "hasEvicted": true
}
`;
  expect(text(disk)).toBe(golden);
  const again = new SimulatedDisk({ seed: 2 });
  await writeFile(again, golden);
  expect((await Identity.open(again, simulatedHost(1).random)).record).toEqual(identity.record);
});

it.each(['', '{', '[]', '{"format":1}', '{"format":2,"directory":"a","incarnations":[],"nextOrdinal":1}'])(
  'a file that cannot be read stops the start, and stays: %j',
  async (content) => {
    const disk = new SimulatedDisk({ seed: 1 });
    await writeFile(disk, content);
    await expect(Identity.open(disk, simulatedHost(1).random)).rejects.toThrow(IdentityError);
    expect(text(disk)).toBe(content);
  },
);

it('a lease is as docs/formats.md has it', async () => {
  const host = simulatedHost(1);
  const store = new MemoryStore({ id: 's', durable: true });
  const random = { bytes: (length: number) => new Uint8Array(length).fill(0xb2) };
  const membership = new Membership({
    replica: 'c3'.repeat(16),
    store: store.connect(directLine),
    host: { clock: host.clock, random },
    directory: 'a1'.repeat(16),
    place: { host: 'n1', path: '/srv/a', http: '[::1]:7070', resp: undefined },
    leaseMs: 1_000,
  });
  membership.reasserted('7-1');
  await membership.renew(9_007_199_254_740_993n);
  await membership.leaveBaton('d4', 9_007_199_254_740_994n);
  expect(store.leases()).toEqual([
    {
      replica: 'c3'.repeat(16),
      version: 2,
      document:
        '{"format":1,"state":"baton","directory":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",' +
        '"nonce":"b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2","through":"9007199254740994","at":1700000000000,"reasserted":"7-1",' +
        '"token":"d4","place":{"host":"n1","path":"/srv/a","http":"[::1]:7070"}}',
    },
  ]);
  const [written] = store.leases();
  expect(written && readLease(written)?.place).toEqual({ host: 'n1', path: '/srv/a', http: '[::1]:7070' });
  const early = '{"format":1,"state":"running","directory":"","nonce":"","through":"0","at":0}';
  const hostile = early.replace('}', ',"place":{"host":"n\\u001b[2J","path":"/"}}');
  for (const document of [early, hostile])
    expect(readLease({ replica: '', version: 1, document })).toMatchObject({ state: 'running', place: undefined });
  const untold = { replica: '', version: 1, document: early };
  expect(readLease(untold)?.reasserted).toBe(undefined);
  const later = '{"format":2,"state":"running","directory":"","nonce":"","through":"0","at":0}';
  for (const document of [later, later.replace('2', '1').replace('running', 'resting'), '', '{', 'null', '[1]']) {
    expect(readLease({ replica: '', version: 1, document })).toBe(undefined);
  }
});
