// Import and export against scripted answers. What a real server makes of them is in test/wire/cli-import.test.ts.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answer, problem, type Respond, reply, run } from '../../test/cli/scripted-run.ts';

/** What a server without bounds answers to a batch. */
const applyAll: Respond = ({ body }) => {
  const updates = (body ?? '').trimEnd().split('\n');
  const results = updates.map((line) => {
    const { name, by } = JSON.parse(line);
    return { name, value: by, applied: by };
  });
  return reply(200, { results, refused: 0, replayed: false });
};

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-cli-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('import', () => {
  const events = '{"name":"a","by":5}\n{"name":"b","by":-2}\n';

  it('counts, sums up and says so', async () => {
    const { code, stdout, stderr, sent } = await run(['import', '-'], { respond: applyAll, stdin: events });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      'lines             2\napplied           2\nalready imported  0\nduplicate ids     0\nrefused           0\nsum               3\n',
    );
    expect(sent[0]?.body).toBe('{"name":"a","by":"5"}\n{"name":"b","by":"-2"}\n');
    expect(sent[0]?.headers['tallyd-import-chunk']).toMatch(/^[0-9a-f]{64}$/);
  });

  it('reads gzip from a file and from stdin', async () => {
    const zipped = gzipSync(events);
    const file = join(directory, 'events.gz');
    await writeFile(file, zipped);
    for (const [name, stdin] of [
      ['-', zipped],
      [file, ''],
    ] as const) {
      const { stdout } = await run(['import', name, '--json'], { respond: applyAll, stdin });
      expect(JSON.parse(stdout)).toMatchObject({ complete: true, lines: 2, applied: 2, sum: 3 });
    }
    const cut = await run(['import', '-'], { respond: applyAll, stdin: zipped.subarray(0, zipped.length - 12) });
    expect([cut.code, cut.stderr]).toEqual([1, expect.stringContaining('file_unreadable')]);
  });

  it('tells what was refused, keeps those lines, and ends with 1', async () => {
    const respond = answer({
      results: [
        { name: 'a', value: '5', applied: '5' },
        { name: 'b', error: { code: 'below_floor', detail: 'too low' } },
      ],
      refused: 1,
      replayed: false,
    });
    const file = join(directory, 'refused');
    const { code, stdout, stderr } = await run(['import', '-', '--refused', file], { respond, stdin: `\n${events}` });
    expect(code).toBe(1);
    expect(stdout).toContain('refused           1\nsum               5\n');
    expect(stderr).toBe('tallyd: refused: stdin:3: b: below_floor: too low\n');
    expect(await readFile(file, 'utf8')).toBe('{"name":"b","by":-2}\n');
  });

  it('tells duplicate ids and chunks that were imported before', async () => {
    const duplicate = answer({ results: [{ name: 'a', value: '5', applied: '5', replayed: true }], refused: 0 });
    const stdin = '{"name":"a","by":5,"id":"e"}';
    const byId = await run(['import', '-', '--json'], { respond: duplicate, stdin });
    expect(JSON.parse(byId.stdout)).toMatchObject({ lines: 1, applied: 0, duplicateIds: 1, sum: 0 });
    const replay = answer({ results: [], refused: 0, replayed: true });
    const again = await run(['import', '-'], { respond: replay, stdin });
    expect(again.stdout).toContain('applied           0\nalready imported  1\n');
    expect(again.stderr).toContain('--again');
    expect(again.code).toBe(0);
  });

  it('stops at a malformed line with its place, and says what stands and how to go on', async () => {
    const stdin = `${'{"name":"a","by":1}\n'.repeat(5_001)}{"name":"a","by":1.5}\n`;
    const { code, stdout, stderr, sent } = await run(['import', '-'], { respond: applyAll, stdin });
    expect([code, sent.length]).toEqual([1, 1]);
    expect(stderr).toContain('malformed_line: stdin:5002: "by" must be an integer');
    expect(stderr).toContain('the first 5000 lines are imported');
    expect(stdout).toContain('lines             5000\n');
  });

  it.each(['import_overlaps', 'needs_authority'])(
    'does not advise a rerun where it would be refused again: %s',
    async (code) => {
      const respond = () => problem(code === 'import_overlaps' ? 409 : 501, code);
      const { stderr } = await run(['import', '-'], { respond, stdin: events });
      expect(stderr).toContain('stopped after 0 lines\n');
      expect(stderr).not.toContain('with the same command');
    },
  );

  it('stops when an outcome stays unknown, with 3, and says how to go on', async () => {
    const respond = () => problem(500, 'outcome_unknown');
    const plain = await run(['import', '-'], { respond, stdin: events });
    expect([plain.code, plain.stderr]).toEqual([3, expect.stringContaining('go on with the same command')]);
    const again = await run(['import', '-', '--again'], { respond, stdin: events });
    const [, salt] = /--again-as ([0-9a-f]{16})/.exec(again.stderr) ?? [];
    expect(again.stderr).toContain(`go on with --again-as ${salt} instead of --again`);
    const resumed = await run(['import', '-', '--again-as', salt ?? ''], { respond: applyAll, stdin: events });
    const chunkIds = [plain, again, resumed].map(({ sent }) => sent[0]?.headers['tallyd-import-chunk']);
    expect(chunkIds[1]).not.toBe(chunkIds[0]);
    expect(chunkIds[2]).toBe(chunkIds[1]);
  });

  it('checks everything and sends nothing with --dry-run', async () => {
    const { stdout, sent } = await run(['import', '-', '--dry-run'], { stdin: events });
    expect(sent).toEqual([]);
    expect(stdout).toContain('lines             2\napplied           0\n');
    const malformed = await run(['import', '-', '--dry-run'], { stdin: 'x' });
    expect([malformed.code, malformed.stderr]).toEqual([1, expect.not.stringContaining('imported')]);
  });

  it('of nothing is done; of a missing file is refused', async () => {
    expect(await run(['import', '-'])).toMatchObject({ code: 0, sent: [] });
    const missing = await run(['import', join(directory, 'missing')]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('there is no such file')]);
    expect((await run(['import', directory])).code).toBe(1);
  });
});

describe('export', () => {
  const respond: Respond = ({ url }) =>
    url.includes('cursor=')
      ? reply(200, { counters: [{ name: '"', value: '-9223372036854775808' }], cursor: null })
      : reply(200, { counters: [{ name: 'a', value: '9007199254740993' }], cursor: '1' });
  const lines = '{"name":"a","by":9007199254740993}\n{"name":"\\"","by":-9223372036854775808}\n';

  it('writes lines that import takes', async () => {
    expect((await run(['export', '--match', 'x*'], { respond })).stdout).toBe(lines);
    expect((await run(['import', '-'], { respond: applyAll, stdin: lines })).stdout).toContain('applied           2');
  });

  it('to a file appears whole or not at all', async () => {
    const file = join(directory, 'counters.ndjson');
    expect((await run(['export', file], { respond })).stdout).toBe('2 counters\n');
    expect(await readFile(file, 'utf8')).toBe(lines);
    const broken: Respond = (sent, count) => (count === 0 ? respond(sent, 0) : problem(400, 'invalid_cursor'));
    expect((await run(['export', file], { respond: broken })).code).toBe(1);
    expect(await readFile(file, 'utf8')).toBe(lines);
    await expect(readFile(`${file}.partial`)).rejects.toThrow('ENOENT');
    expect((await run(['export', join(directory, 'none', 'x')], { respond })).code).toBe(1);
  });
});
