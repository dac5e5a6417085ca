/** Blocks in a snapshot that no table can have written are refused, in words that say what to do. */

import { describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../../test/simulation/disk.ts';
import { simulatedHost } from '../../../test/simulation/host.ts';
import { Recorder } from '../../../test/simulation/journal-model.ts';
import { commit, durableAlready, group, open } from '../../../test/simulation/journal-steps.ts';
import { ENTRY_MUST_UNDERSTAND, ENTRY_TYPE_SHIFT } from '../format.ts';
import { GroupBuffer } from '../group.ts';
import { Journal } from '../journal.ts';
import { BLOCKS, Block, findBlocks, putBlocks, toValues } from './blocks.ts';
import { INDEX_LEAF, putIndexLeaf } from './index-leaf.ts';
import { putTable, TABLE } from './table.ts';

/** A record of three units, one that is gone, a free block of two units, and a record with a suffix. */
const WORDS = Int32Array.of(
  ...[1, 0, 7, 17 | Block.deadline, 0x61616161, 0x61616161, 0x61616161, 0x61616161, 0x62, 0, 0, 0],
  ...[2, 0, 7, 4 | Block.gone, 0x63636363, 0, 0, 0],
  ...[2, 0, 0, 0, 9, 9, 9, 9],
  ...[4, -1, 7, 2 | (1 << Block.kindShift) | (5 << 16), 0x3c006464, 0x07000000, 0, 0],
);

function find(words: Int32Array): number[] {
  const at = new Int32Array(words.length);
  const count = findBlocks(words, 0, words.length, at);
  return count < 0 ? [count] : [...at.subarray(0, count)];
}

function changed(word: number, value: number): Int32Array {
  const words = WORDS.slice();
  words[word] = value;
  return words;
}

/** What a start says of a snapshot with these blocks. */
async function startWith(words: Int32Array): Promise<Recorder> {
  const disk = new SimulatedDisk({ seed: 1 });
  const journal = await open(disk);
  await commit(journal, group(1n, 'a'));
  const next = (part: GroupBuffer): boolean => {
    putBlocks(part, words, 0, words.length);
    return false;
  };
  await journal.snapshot({ next }, () => 1n, durableAlready);
  await journal.close();
  const recorder = new Recorder();
  await Journal.open({ disk, host: simulatedHost(2), replay: recorder });
  return recorder;
}

describe('blocks', () => {
  it('are found back to back: records, and those that are free or gone', () => {
    expect(find(WORDS)).toEqual([0, ~12, ~20, 28]);
  });

  it('are told as states, with no bits that mean nothing in a file', async () => {
    const words = WORDS.slice();
    const at = Int32Array.of(0, ~12, ~20, 28);
    const values = toValues({ words, view: new DataView(words.buffer), from: 0, to: words.length, at, count: 4 });
    expect([...values.at]).toEqual([0, 28]);
    expect([words[3], words[31]]).toEqual([17 << 8, 1 | (2 << 8)]);
    expect([...(await startWith(WORDS)).state.keys()]).toEqual([
      `record 0/${'a'.repeat(16)}b`,
      'record 1/dd\0\x3c\0\0\0\x07\0\0',
    ]);
  });

  it.each([
    ['of no length', changed(20, 0)],
    ['of negative length', changed(20, -2)],
    ['that is free beyond the end', changed(20, 100)],
    ['whose name is longer than the rest', changed(31, 200)],
    ['that do not fill their entry', WORDS.slice(0, 34)],
  ])('%s are damage', async (_title, words) => {
    await expect(startWith(words)).rejects.toThrow('an entry is malformed');
  });

  it('with a kind that is not known here are of a newer version', async () => {
    const words = changed(31, 2 | (6 << Block.kindShift));
    await expect(startWith(words)).rejects.toThrow('it names a record of a kind that is not known here; start the ver');
  });

  it('must be understood: a version that does not know them refuses to start', () => {
    const part = new GroupBuffer();
    part.begin();
    part.stamp(1n, 1);
    putTable(part, { records: 0, indexDepth: 0, hashKey: new Uint8Array(8) });
    putIndexLeaf(part, { depth: 0, used: 0, words: WORDS, from: 0, to: 4 });
    putBlocks(part, WORDS, 0, WORDS.length);
    const [bytes] = part.seal(new Uint8Array(16), 0, 0);
    const view = new DataView(bytes.buffer);
    for (const [at, type] of [
      [64, TABLE.number],
      [92, INDEX_LEAF.number],
      [120, BLOCKS.number],
    ]) {
      expect((view.getUint32(at, true) & ~0xffffff) >>> 0).toBe(
        (ENTRY_MUST_UNDERSTAND | (type << ENTRY_TYPE_SHIFT)) >>> 0,
      );
    }
  });
});
