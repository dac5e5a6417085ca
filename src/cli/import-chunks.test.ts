import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fc } from '../../test/property.ts';
import { CHUNK_BYTES, CHUNK_LINES, type ChunkRule, chunksOf, type ImportChunk } from './import-chunks.ts';

const PLAIN: ChunkRule = { salt: undefined, withIds: true };

/** The content cut into blocks at the given places. */
async function* blocksOf(content: string, cuts: readonly number[] = []): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content);
  let start = 0;
  for (const cut of [...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)) {
    yield bytes.subarray(start, cut);
    start = cut;
  }
  yield bytes.subarray(start);
}

async function allOf(content: string, rule: ChunkRule = PLAIN, cuts: readonly number[] = []): Promise<ImportChunk[]> {
  const chunks: ImportChunk[] = [];
  for await (const chunk of chunksOf(blocksOf(content, cuts), rule)) chunks.push(chunk);
  return chunks;
}

const idsOf = async (content: string, rule: ChunkRule = PLAIN, cuts: readonly number[] = []): Promise<string[]> =>
  (await allOf(content, rule, cuts)).map(({ id }) => id);

const events = (count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) => `{"name":"counter:${(from + i) % 7}","by":${from + i}}\n`).join('');

describe('the ids of an import', () => {
  it('are what they always were: a change would count old imports again', async () => {
    expect(await idsOf(events(12_000))).toEqual([
      createHash('sha256').update(events(5_000)).digest('hex'),
      createHash('sha256').update(events(10_000)).digest('hex'),
      createHash('sha256').update(events(12_000)).digest('hex'),
    ]);
    expect(await idsOf('{"name":"a","by":1}\n')).toEqual([
      '5e46e448952b9ae3c1460185b7821a6ca40208102808850da1385824539deed5',
    ]);
    expect(await idsOf('{"name":"a","by":1}\n', { salt: '0123456789abcdef', withIds: true })).toEqual([
      '2feda1414614392e229340742d6c04e48c0c2835568b75f4ebd00e6179ed9cbe',
    ]);
    expect([CHUNK_LINES, CHUNK_BYTES]).toEqual([5_000, 1_048_576]);
  });

  it('do not depend on how the content arrives', async () => {
    const content = events(CHUNK_LINES + 20);
    const expected = await idsOf(content);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat()), async (cuts) => {
        expect(await idsOf(content, PLAIN, cuts)).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  it('do not depend on blank lines or on a newline at the end', async () => {
    const expected = await idsOf(events(10));
    expect(await idsOf(events(10).trimEnd())).toEqual(expected);
    expect(await idsOf(`\n \t\r\n${events(4)}\n\n${events(6, 4)}\n\n`)).toEqual(expected);
  });

  it('depend on everything before them', async () => {
    const [first, second] = await idsOf(events(CHUNK_LINES + 1));
    const [other, shifted] = await idsOf(`{"name":"x","by":1}\n${events(CHUNK_LINES, 1)}`);
    expect(new Set([first, second, other, shifted]).size).toBe(4);
  });

  it('do not depend on --no-ids, but on the salt of --again', async () => {
    const content = '{"name":"a","by":1,"id":"event-1"}\n';
    const withIds = await allOf(content);
    const withoutIds = await allOf(content, { salt: undefined, withIds: false });
    expect(withoutIds[0]?.id).toBe(withIds[0]?.id);
    expect(withIds[0]?.updates[0]?.id).toBe('event-1');
    expect(withoutIds[0]?.updates[0]?.id).toBeUndefined();
    const salted = await Promise.all(['00', '01', '00'].map((salt) => idsOf(content, { salt, withIds: true })));
    expect(salted[0]).not.toEqual(salted[1]);
    expect(salted[0]).toEqual(salted[2]);
    expect(salted[0]).not.toEqual([withIds[0]?.id]);
  });

  it('end a chunk with the line that fills 1 MiB', async () => {
    const line = `{"name":"${'n'.repeat(255)}","by":1${' '.repeat(4_000)}}\n`;
    const chunks = await allOf(line.repeat(600));
    const perChunk = Math.ceil(CHUNK_BYTES / line.length);
    expect(chunks.map(({ lines }) => lines.length)).toEqual([perChunk, perChunk, 600 - 2 * perChunk]);
  });
});

describe('the chunks of an import', () => {
  it('hold every event once, in order, with its line', async () => {
    const chunks = await allOf(`\n${events(CHUNK_LINES + 5)}`);
    expect(chunks.flatMap(({ updates }) => updates.map(({ by }) => by))).toEqual(
      Array.from({ length: CHUNK_LINES + 5 }, (_, i) => BigInt(i)),
    );
    expect(chunks.map(({ lines }) => lines[0]?.number)).toEqual([2, CHUNK_LINES + 2]);
  });

  it('of nothing are none', async () => {
    expect(await allOf('')).toEqual([]);
    expect(await allOf('\n \n')).toEqual([]);
  });

  it('come before the complaint about a line behind them', async () => {
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { lines } of chunksOf(blocksOf(`${events(CHUNK_LINES)}{"name":"a"}\n`), PLAIN)) {
        seen.push(lines.length);
      }
    })();
    await expect(reading).rejects.toMatchObject({ name: 'MalformedLine', line: CHUNK_LINES + 1 });
    expect(seen).toEqual([CHUNK_LINES]);
  });
});
