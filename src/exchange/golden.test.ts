import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { DamageError, UnsupportedFormatError } from '../journal/errors.ts';
import { directLine, MemoryStore } from '../store/memory/memory-store.ts';
import { Identity, parseIdentity } from './identity.ts';
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
  expect(JSON.parse(text(disk))).toEqual({
    format: 2,
    directory,
    nextOrdinal: 1,
    incarnations: [],
    crc32: 'c645b1a4',
  });
  await identity.change({
    attachment: { store: 's', isDurable: true, nonce: 'd4'.repeat(16), isRegistered: true, localPatterns: ['a*'] },
    nextOrdinal: 3,
    incarnations: [
      { ordinal: 0, id: directory, through: '17' },
      { ordinal: 2, id: 'b2'.repeat(16) },
    ],
    baton: 'c3'.repeat(16),
    assertedTerm: '7-1',
    hasEvicted: true,
  });
  const golden = `{
  "format": 2,
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
    "nonce": "d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4",
    "isRegistered": true,
    "localPatterns": [
      "a*"
    ]
  },
  "baton": "c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3",
  "assertedTerm": "7-1",
  "hasEvicted": true,
  "crc32": "93c4bad5"
}
`;
  expect(text(disk)).toBe(golden);
  const again = new SimulatedDisk({ seed: 2 });
  await writeFile(again, golden);
  expect((await Identity.open(again, simulatedHost(1).random)).document).toEqual(identity.document);
});

/** As an earlier version wrote it: format 1, without a checksum. */
const early = {
  format: 1,
  directory: 'a1'.repeat(16),
  nextOrdinal: 4,
  incarnations: [
    { ordinal: 0, id: 'a1'.repeat(16), through: '17', foldedAt: 1_700_000_000_000, foldedTerm: '7-1' },
    { ordinal: 2, id: 'b2'.repeat(16), through: '208', isForked: true },
    { ordinal: 3, id: 'c3'.repeat(16) },
  ],
  attachment: { store: 's', nonce: 'd4'.repeat(16), isRegistered: true, localPatterns: [] },
  baton: 'e5'.repeat(16),
  batonTerm: '7-1',
};

it('replica.json of an earlier version is read, and written anew with a checksum', async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await writeFile(disk, JSON.stringify(early));
  const { document } = await Identity.open(disk, simulatedHost(1).random);
  expect(document).toEqual({ ...early, format: 2 });
  expect(parseIdentity(disk.content('replica.json'))).toEqual({ document, isChecked: true });
});

it('no bit of replica.json can change unnoticed', async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await writeFile(disk, JSON.stringify(early));
  await Identity.open(disk, simulatedHost(1).random);
  const bytes = disk.content('replica.json');
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    expect(() => parseIdentity(damaged)).toThrow(DamageError);
  }
});

const [first, second, third] = early.incarnations;
const { directory: _, ...nobody } = early;
it.each<[string, unknown, typeof DamageError | typeof UnsupportedFormatError]>([
  ['nothing', undefined, DamageError],
  ['no object', [early], DamageError],
  ['a later version', { ...early, format: 3 }, UnsupportedFormatError],
  ['no checksum in a format that has one', { ...early, format: 2 }, DamageError],
  ['a checksum that is not the last field', { crc32: '00000000', ...early }, DamageError],
  ['no directory', nobody, DamageError],
  ['an unknown field', { ...early, hasEvictee: true }, DamageError],
  ['an id that is not hexadecimal', { ...early, incarnations: [{ ...first, id: `g${'a'.repeat(31)}` }] }, DamageError],
  ['a group with leading zeros', { ...early, incarnations: [{ ...first, through: '008' }] }, DamageError],
  ['ordinals out of order', { ...early, incarnations: [second, first, third] }, DamageError],
  ['an ordinal that is still to be given', { ...early, nextOrdinal: 3 }, DamageError],
  ['an ordinal without end', { ...early, nextOrdinal: 1e300 }, DamageError],
  ['no local patterns', { ...early, attachment: { ...early.attachment, localPatterns: undefined } }, DamageError],
  ['a flag that is none', { ...early, hasEvicted: 'yes' }, DamageError],
])('replica.json with %s stops the start, and stays', async (_what, content, refusal) => {
  const disk = new SimulatedDisk({ seed: 1 });
  const written = content === undefined ? '' : JSON.stringify(content);
  await writeFile(disk, written);
  await expect(Identity.open(disk, simulatedHost(1).random)).rejects.toThrow(refusal);
  expect(text(disk)).toBe(written);
});

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
