import { describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { DamageError } from './errors.ts';
import { decodeSmallFile, encodeSmallFile, readSmallFile, replaceSmallFile } from './small-file.ts';

const NAME = 'some.json';
const BYTES_MAX = 16 * 1024 * 1024;
const CONTENT = { format: 2, name: 'ä "x"', list: [{ a: 1 }, { a: -1 }], flag: true };
const GOLDEN = `{
  "format": 2,
  "name": "ä \\"x\\"",
  "list": [
    {
      "a": 1
    },
    {
      "a": -1
    }
  ],
  "flag": true,
  "crc32": "d4c03375"
}
`;

describe('a small file', () => {
  it('is as docs/formats.md has it, and is there whole or as it was after a crash', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      let disk = new SimulatedDisk({ seed });
      await replaceSmallFile(disk, NAME, encodeSmallFile(CONTENT));
      expect(new TextDecoder().decode(disk.content(NAME))).toBe(GOLDEN);
      void disk.stopAt(disk.operations + 1 + (seed % 5));
      void replaceSmallFile(disk, NAME, encodeSmallFile({ other: seed }));
      await new Promise((resolve) => setImmediate(resolve));
      disk = disk.crash();
      const bytes = await readSmallFile(disk, NAME);
      const { content, isChecked } = decodeSmallFile(NAME, bytes ?? new Uint8Array());
      expect(isChecked).toBe(true);
      expect([CONTENT, { other: seed }]).toContainEqual(content);
    }
  });

  it('shows every bit that has changed, and every end that is missing', () => {
    const bytes = encodeSmallFile(CONTENT);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      expect(() => decodeSmallFile(NAME, damaged)).toThrow(DamageError);
    }
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeSmallFile(NAME, bytes.subarray(0, end))).toThrow(DamageError);
    }
  });

  it('without a checksum is told from one that has it', () => {
    const early = new TextEncoder().encode(JSON.stringify(CONTENT));
    expect(decodeSmallFile(NAME, early)).toEqual({ content: CONTENT, isChecked: false });
  });

  it('that is too long is refused before it is read', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const file = await disk.open(NAME, 'create');
    await file.write(new Uint8Array(1), BYTES_MAX);
    await expect(readSmallFile(disk, NAME)).rejects.toThrow(/some.json is damaged at offset 16777216: it is longer/);
    expect(await readSmallFile(disk, 'other.json')).toBe(undefined);
  });
});
