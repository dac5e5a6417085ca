import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { type Cut, noCut, remove, reset } from '../crdt/cut.ts';
import { SeededRandom } from '../std/random.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { KeptCuts } from './kept-cuts.ts';

const FILE = 'cuts.log';
const folded = new Map([['ab'.repeat(16), { version: 7n, net: -9n }]]);
const CUT: Cut<ReplicaId> = { ...reset(folded, noCut(), 'ä/1', 1n << 70n, 0), version: 1n };
const GOLDEN = `af1ec339 {"format":1}
ab5c7450 {"name":"x \\"1\\"","version":"1","author":"ä/1","base":"1180591620717411303424","isDeleted":false,"folded":{"abababababababababababababababab":"7 -9"}}
`;

const lineOf = (json: string): string => `${crc32(json).toString(16).padStart(8, '0')} ${json}`;
const text = (disk: SimulatedDisk): string => new TextDecoder().decode(disk.content(FILE));

async function write(disk: SimulatedDisk, content: string | Uint8Array): Promise<void> {
  const file = await disk.open(FILE, 'create');
  await file.write(Buffer.from(content), 0);
  await file.sync();
  await file.close();
  await disk.syncDirectory();
}

describe('cuts.log', () => {
  it('is as docs/formats.md has it, and is read again', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const kept = await KeptCuts.open(disk);
    await kept.save();
    expect(await disk.list()).toEqual([]);
    kept.keep('x "1"', CUT);
    await kept.save();
    expect(text(disk)).toBe(GOLDEN);
    kept.keep('y', remove(new Map(), noCut<ReplicaId>(), 'b', 0));
    kept.keep('x "1"', noCut());
    await kept.save();
    kept.drop('y');
    await kept.save();
    expect([...(await KeptCuts.open(disk.crash())).all()]).toEqual([['x "1"', CUT]]);
  });

  it('is copied with its directory', async () => {
    const [disk, other] = [new SimulatedDisk({ seed: 1 }), new SimulatedDisk({ seed: 2 })];
    await write(disk, `${GOLDEN}torn`);
    await KeptCuts.copy(disk, other);
    expect(text(other)).toBe(GOLDEN);
  });

  it('of a later version is left out', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await write(disk, GOLDEN.replace('af1ec339 {"format":1}', '843390fa {"format":2}'));
    const told: string[] = [];
    const kept = await KeptCuts.open(disk, (what) => told.push(what));
    expect(told).toEqual(['cuts.log has another format']);
    expect([...kept.all()]).toEqual([]);
    kept.keep('x "1"', CUT);
    await kept.save();
    expect(text(disk)).toBe(GOLDEN);
  });

  it('that is torn or damaged gives every whole line, and goes on behind them', async () => {
    const random = new SeededRandom(seed);
    for (let run = 0; run < 300; run++) {
      const bytes = Buffer.from(GOLDEN);
      if (random.chance(0.5)) bytes[random.below(bytes.length)] = random.below(256);
      const disk = new SimulatedDisk({ seed: run });
      await write(disk, bytes.subarray(0, random.chance(0.5) ? bytes.length : random.below(bytes.length)));
      const kept = await KeptCuts.open(disk);
      for (const [name, cut] of kept.all()) expect([name, cut]).toEqual(['x "1"', CUT]);
      kept.keep('z', CUT);
      await kept.save();
      const names = [...(await KeptCuts.open(disk.crash())).all()].map(([name]) => name);
      expect(names).toContain('z');
      expect(names).toEqual([...kept.all()].map(([name]) => name));
    }
  });

  it('that is damaged in front of what is whole says so, and is then replaced', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const kept = await KeptCuts.open(disk);
    for (const name of ['a', 'b', 'c']) kept.keep(name, CUT);
    await kept.save();
    const [header = '', a = '', b = '', c = ''] = text(disk).split('\n');
    const hand = lineOf(JSON.stringify({ name: 'a', version: 1 }));
    const torn = [header, a, b, c.slice(0, 40)];
    const ways: readonly [string, readonly string[], string?][] = [
      ['whole', [header, a, b, c, '']],
      ['torn', torn],
      [
        'a bit',
        [header, a, b.replace('true', 'trud').replace('false', 'falsd'), c, ''],
        'cuts.log is damaged in line 3',
      ],
      ['by hand', [header, hand, b, c, ''], 'cuts.log is damaged in line 2'],
      ['null', [header, lineOf('null'), b, c, ''], 'cuts.log is damaged in line 2'],
      ['header', [header.replace('1', '2'), a, b, c, ''], 'cuts.log is damaged in line 1'],
      ['empty', [], 'cuts.log is damaged in line 1'],
    ];
    for (const [way, lines, damage] of ways) {
      const other = new SimulatedDisk({ seed: 2 });
      await write(other, lines.join('\n'));
      const told: string[] = [];
      expect([way, await KeptCuts.damage(other)]).toEqual([way, damage]);
      const again = await KeptCuts.open(other, (what) => told.push(what));
      expect([way, ...told]).toEqual([way, ...(damage === undefined ? [] : [damage])]);
      const names = [...again.all()].map(([name]) => name);
      again.keep('z', CUT);
      await again.save();
      expect([way, await KeptCuts.damage(other)]).toEqual([way, undefined]);
      expect([...(await KeptCuts.open(other)).all()].map(([name]) => name)).toEqual([...names, 'z']);
    }
  });

  it('does not grow without end', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const kept = await KeptCuts.open(disk);
    let cut = CUT;
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 1_000; i++) {
        cut = reset(folded, cut, 'a', 1n, 0);
        kept.keep(`${i}`, cut);
      }
      await kept.save();
    }
    expect(text(disk).split('\n').length).toBeLessThan(14_000);
  });
});
