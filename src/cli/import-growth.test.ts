// Content that grows, or is imported by several at once, with a real engine: the sum is that of the longest.

import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../test/cli/scripted-run.ts';
import { TestDoor } from '../../test/http/door.ts';
import { fc } from '../../test/property.ts';

let door: TestDoor;
beforeEach(async () => {
  door = await TestDoor.open();
});
afterEach(() => door.close(0));

/** Line i adds i; the name tells the contents of one test from those of another. */
const content = (name: string, lines: number): string =>
  Array.from({ length: lines }, (_, i) => `{"name":"${name}","by":${i + 1}}\n`).join('');
const sumTo = (lines: number): number => (lines * (lines + 1)) / 2;

/** Imports lines from standard input. @returns the summary, and the error's code where there is one */
async function importText(stdin: string): Promise<Record<string, unknown>> {
  const flags = ['--json', '--url', `http://127.0.0.1:${door.port}`];
  const { code, stdout, stderr } = await run(['import', '-', ...flags], { respond: 'server', stdin });
  const error = /"code":"(\w+)"/.exec(stderr)?.[1];
  expect(code).toBe(error === undefined ? 0 : 1);
  return { ...JSON.parse(stdout), error };
}

const importLines = (name: string, lines: number): Promise<Record<string, unknown>> => importText(content(name, lines));

async function countOf(name: string): Promise<number> {
  return JSON.parse(await door.text(200, 'GET', `/v1/counters/${name}`)).value;
}

it('a producer that died at a line end: the same command again imports the rest', async () => {
  await importLines('a', 7_000);
  expect(await importLines('a', 12_000)).toMatchObject({ lines: 12_000, applied: 5_000, alreadyImported: 7_000 });
  expect(await countOf('a')).toBe(sumTo(12_000));
  expect(await importLines('a', 12_000)).toMatchObject({ applied: 0, alreadyImported: 12_000 });
});

it('content that grows counts what is new', async () => {
  for (const lines of [100, 250, 7_000, 7_001]) await importLines('a', lines);
  expect(await countOf('a')).toBe(sumTo(7_001));
});

it('a last chunk that an earlier version sent in one piece is known', async () => {
  const { createHash } = await import('node:crypto');
  const chunk = createHash('sha256').update(content('a', 100)).digest('hex');
  await door.text(200, 'POST', '/v1/batch', content('a', 100), { 'tallyd-import-chunk': chunk });
  expect(await importLines('a', 100)).toMatchObject({ applied: 0, alreadyImported: 100 });
  expect(await countOf('a')).toBe(sumTo(100));
});

it('any growth and any loss, line by line or by thousands: the longest counts, once', async () => {
  const length = fc.oneof(
    fc.integer({ min: 1, max: 70 }),
    fc.integer({ min: 1, max: 600 }),
    fc.integer({ min: 1, max: 15_000 }),
  );
  let number = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(length, { minLength: 1, maxLength: 5 }), async (lengths) => {
      const name = `changes-${number++}`;
      let longest = 0;
      for (const lines of lengths) {
        const { error } = await importLines(name, lines);
        if (lines >= longest) expect(error).toBe(undefined);
        else expect([undefined, 'import_overlaps']).toContain(error);
        longest = Math.max(longest, lines);
        expect(await countOf(name)).toBe(sumTo(longest));
      }
    }),
    { numRuns: 20 },
  );
});

it('a last line whose line end comes later, LF or CR LF, is the same line', async () => {
  let number = 0;
  const cut = fc.record({ lines: fc.integer({ min: 2, max: 300 }), missing: fc.integer({ min: 0, max: 2 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(cut, { minLength: 1, maxLength: 5 }),
      fc.constantFrom('\n', '\r\n'),
      async (cuts, end) => {
        const name = `ends-${number++}`;
        let longest = 0;
        for (const { lines, missing } of cuts.sort((a, b) => a.lines - b.lines)) {
          const text = content(name, lines).replaceAll('\n', end);
          const { error } = await importText(text.slice(0, text.length - Math.min(missing, end.length)));
          expect(error).toBe(undefined);
          longest = Math.max(longest, lines);
          expect(await countOf(name)).toBe(sumTo(longest));
        }
      },
    ),
    { numRuns: 15 },
  );
});

it('several imports of growing content at once count each line once', async () => {
  for (let round = 0; round < 4; round++) {
    const name = `at-once-${round}`;
    const lengths = [37, 100, 250, 300, 5_003, 5_100].map((length) => length + round);
    for (const length of lengths) await Promise.all([importLines(name, length), importLines(name, length + 9)]);
    expect(await countOf(name)).toBe(sumTo((lengths.at(-1) ?? 0) + 9));
  }
});

it('a file that only begins like another one is counted whole, wherever in its first 64 lines it differs', async () => {
  let expected = 0;
  for (const [shared, lines] of [
    [0, 40],
    [1, 2],
    [1, 3],
    [7, 40],
    [31, 33],
    [40, 41],
    [63, 300],
  ] as const) {
    const own = Array.from({ length: lines - shared }, (_, i) => `{"name":"all","by":${1_000 * shared + lines + i}}\n`);
    const { error } = await importText(content('all', shared) + own.join(''));
    expect(error).toBe(undefined);
    expected += sumTo(shared) + own.reduce((sum, line) => sum + JSON.parse(line).by, 0);
    expect(await countOf('all')).toBe(expected);
  }
});

it('content that differs after many equal lines is refused from there on, and counts nothing twice', async () => {
  await importLines('a', 9_000);
  const other = '{"name":"b","by":1}\n'.repeat(100);
  for (const shared of [64, 100, 5_000, 7_777]) {
    expect(await importText(content('a', shared) + other)).toMatchObject({ applied: 0, error: 'import_overlaps' });
  }
  expect([await countOf('a'), await countOf('b')]).toEqual([sumTo(9_000), 0]);
});
