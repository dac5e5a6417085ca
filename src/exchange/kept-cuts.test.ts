import { describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { type Cut, noCut, remove, reset } from '../crdt/cut.ts';
import { SeededRandom } from '../std/random.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { KeptCuts } from './kept-cuts.ts';

const FILE = 'cuts.log';
const folded = new Map([['ab'.repeat(16), { version: 7n, net: -9n }]]);
const CUT: Cut<ReplicaId> = reset(folded, noCut(), 'ä/1', 1n << 70n);
const GOLDEN = `af1ec339 {"format":1}
ab5c7450 {"name":"x \\"1\\"","version":"1","author":"ä/1","base":"1180591620717411303424","isDeleted":false,"folded":{"abababababababababababababababab":"7 -9"}}
`;

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
    kept.keep('y', remove(new Map(), noCut<ReplicaId>(), 'b'));
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
    const kept = await KeptCuts.open(disk);
    expect([...kept.all()]).toEqual([]);
    kept.keep('x "1"', CUT);
    await kept.save();
    expect(text(disk)).toBe(GOLDEN);
  });

  it('that is torn or damaged gives every whole line, and goes on behind them', async () => {
    const random = new SeededRandom(1);
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

  it('does not grow without end', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const kept = await KeptCuts.open(disk);
    let cut = CUT;
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 1_000; i++) {
        cut = reset(folded, cut, 'a', 1n);
        kept.keep(`${i}`, cut);
      }
      await kept.save();
    }
    expect(text(disk).split('\n').length).toBeLessThan(14_000);
  });
});
