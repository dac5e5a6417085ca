// The command line against scripted answers: what is sent, what is printed, and how it ends. What a real server makes
// of it is in test/wire/cli.test.ts.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fetch, FetchInit, FetchResponse } from '../client/client.ts';
import { main } from './main.ts';

interface Sent extends FetchInit {
  readonly url: string;
}

type Respond = (sent: Sent, count: number) => FetchResponse;

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly sent: readonly Sent[];
}

interface Setting {
  readonly respond?: Respond;
  readonly stdin?: string | Uint8Array;
  readonly env?: Record<string, string>;
  readonly isTTY?: boolean;
  /** Errors that writes to stdout end with, after so many have succeeded. */
  readonly stdoutFails?: { readonly after: number; readonly code: string };
}

async function run(argv: string[], setting: Setting = {}): Promise<Run> {
  const { respond = () => reply(200, {}), stdin = '', env = {}, isTTY = false, stdoutFails } = setting;
  const sent: Sent[] = [];
  const fetch: Fetch = async (url, init) => {
    sent.push({ url, ...init });
    return respond({ url, ...init }, sent.length - 1);
  };
  let writes = 0;
  const stdout = sink(isTTY, () => {
    const fails = stdoutFails !== undefined && writes++ >= stdoutFails.after;
    return fails ? Object.assign(new Error(stdoutFails.code), { code: stdoutFails.code }) : null;
  });
  const stderr = sink(isTTY, () => null);
  const world = { stdin: Readable.from([Buffer.from(stdin)]), stdout, stderr, env, fetch };
  const code = await main(['--timeout', '0.2', ...argv], world);
  return { code, stdout: stdout.text(), stderr: stderr.text(), sent };
}

function sink(isTTY: boolean, fail: () => Error | null): Writable & { isTTY: boolean; text(): string } {
  const pieces: string[] = [];
  const stream = new Writable({
    write(piece: Buffer, _, done) {
      const error = fail();
      if (error === null) pieces.push(piece.toString());
      done(error);
    },
  });
  return Object.assign(stream, { isTTY, text: () => pieces.join('') });
}

function reply(status: number, body: unknown): FetchResponse {
  return { status, headers: { get: () => null }, text: async () => JSON.stringify(body) };
}

const problem = (status: number, code: string): FetchResponse => reply(status, { code, detail: `about ${code}` });
const answer =
  (body: unknown): Respond =>
  () =>
    reply(200, body);

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

describe('a command line', () => {
  it.each([
    [[]],
    [['frob']],
    [['incr']],
    [['incr', 'a', 'b']],
    [['incr', 'a', '1.5']],
    [['incr', 'a', '1', 'more']],
    [['incr', 'a', '--frob']],
    [['incr', 'a', '--ttl', '0']],
    [['set', 'a']],
    [['ttl', 'a', '-5']],
    [['list', '--limit', 'all']],
    [['get', 'a', '--url', 'localhost:7070']],
    [['import', '-', '--again-as', 'xyz']],
    [['--url', 'http://127.0.0.1:1', 'serve']],
    [['--json', 'verify', 'data']],
  ])('%j is refused with exit code 2 and a sentence, and nothing is sent', async (argv) => {
    const { code, stdout, stderr, sent } = await run(argv);
    expect([code, stdout, sent]).toEqual([2, '', []]);
    expect(stderr).not.toBe('');
    expect(stderr).not.toContain('    at ');
  });

  it.each(['0', '-1', 'soon', '1e3', '9999999'])('with a deadline of %s is refused', async (timeout) => {
    expect((await run(['get', 'a', '--timeout', timeout])).code).toBe(2);
  });

  it.each([[['--help']], [['help', 'import']], [['incr', '--help']], [['--version']]])(
    '%j ends with 0',
    async (argv) => {
      const { code, stdout, stderr } = await run(argv);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).not.toBe('');
    },
  );

  it('shows in its help every command, with examples', async () => {
    const { stdout } = await run(['--help']);
    const commands = 'serve incr decr get mget set reset del list ttl import export snapshot verify info'.split(' ');
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    for (const command of commands.filter((name) => name !== 'serve' && name !== 'verify')) {
      const help = (await run([command, '--help'])).stdout;
      expect(help, command).toContain('Examples:');
      expect(help, command).toContain('--url');
    }
  });

  it('takes negative amounts, and names that begin with a dash behind --', async () => {
    const respond = answer({ value: '-5', applied: '-5' });
    const { stdout, sent } = await run(['incr', 'x', '-5'], { respond });
    expect([stdout, JSON.parse(sent[0]?.body ?? '')]).toEqual(['-5\n', { by: '-5' }]);
    const argv = ['incr', '--url', 'http://other:1', '--', '-x', '-9223372036854775808'];
    const odd = await run(argv, { respond });
    expect(odd.sent[0]?.url).toBe('http://other:1/v1/counters/-x/increment?numbers=string');
  });
});

describe('the exit code', () => {
  it.each([
    [1, ['incr', 'a'], () => problem(409, 'overflow')],
    [1, ['get', 'a'], () => problem(401, 'unauthorized')],
    [1, ['incr', 'a'], () => problem(503, 'unavailable')],
    [3, ['incr', 'a'], () => problem(500, 'outcome_unknown')],
    [1, ['get', 'a'], () => problem(500, 'internal')],
    [3, ['incr', 'a'], () => reply(200, '<html>')],
    [1, ['export'], () => problem(400, 'invalid_cursor')],
  ] as [number, string[], Respond][])('is %i for %j', async (expected, argv, respond) => {
    const plain = await run(argv, { respond });
    expect(plain.code).toBe(expected);
    expect(plain.stdout).toBe('');
    const json = await run([...argv, '--json'], { respond });
    expect(json.code).toBe(expected);
    expect(JSON.parse(json.stderr)).toMatchObject({ code: expect.any(String), detail: expect.any(String) });
    expect(plain.stderr).not.toContain('    at ');
  });

  it('is 4 when nobody can be reached', async () => {
    const refused = () => {
      throw new TypeError('fetch failed', { cause: Object.assign(new Error('refused'), { syscall: 'connect' }) });
    };
    for (const argv of [['incr', 'a'], ['get', 'a'], ['list'], ['import', '-']]) {
      const { code, stderr } = await run(argv, { respond: refused, stdin: '{"name":"a","by":1}' });
      expect([code, argv]).toEqual([4, argv]);
      expect(stderr).toContain('unreachable: no connection could be made (refused)');
    }
  });

  it('of an unknown outcome comes with the key to repeat it', async () => {
    const { stderr, sent } = await run(['incr', 'a', '--json'], { respond: () => problem(500, 'outcome_unknown') });
    const { key } = JSON.parse(stderr);
    expect(key).toBe(sent[0]?.headers['idempotency-key']);
    const again = await run(['incr', 'a', '--key', key], { respond: answer({ value: '1', applied: '1' }) });
    expect(again.sent[0]?.headers['idempotency-key']).toBe(key);
  });
});

describe('output', () => {
  const two = answer({
    counters: [
      { name: 'a', value: '9223372036854775807', exists: true },
      { name: 'b\u001b[31m\nc', value: '0', exists: false },
    ],
  });
  const one = answer({ counters: [{ name: 'a', value: '-7', exists: true }] });

  it('of one counter is the bare number', async () => {
    expect((await run(['get', 'a'], { respond: one })).stdout).toBe('-7\n');
    expect((await run(['mget', 'a'], { respond: one })).stdout).toBe('-7\ta\n');
    expect((await run(['get', 'a', '--json'], { respond: one })).stdout).toBe(
      '{"name":"a","value":-7,"exists":true}\n',
    );
  });

  it('of many is a line each, whatever the names hold', async () => {
    const { stdout } = await run(['get', 'a', 'b'], { respond: two });
    expect(stdout).toBe('9223372036854775807\ta\n0\t"b\\u001b[31m\\nc"\n');
    const json = (await run(['get', 'a', 'b', '--json'], { respond: two })).stdout.trimEnd().split('\n');
    expect(json[0]).toBe('{"name":"a","value":9223372036854775807,"exists":true}');
    expect(JSON.parse(json[1] ?? '')).toEqual({ name: 'b\u001b[31m\nc', value: 0, exists: false });
  });

  it('on a terminal is a table, without escape sequences from names', async () => {
    const { stdout } = await run(['mget', 'a', 'b'], { respond: two, isTTY: true });
    expect(stdout).toContain('│ 9223372036854775807 │ a');
    expect(stdout).not.toContain('\u001b');
  });

  it('on a terminal has colour, unless NO_COLOR says otherwise', async () => {
    const respond = () => problem(409, 'overflow');
    expect((await run(['incr', 'a'], { respond, isTTY: true })).stderr).toContain('\u001b[31m');
    expect((await run(['incr', 'a'], { respond, isTTY: true, env: { NO_COLOR: '1' } })).stderr).not.toContain('\u001b');
    expect((await run(['incr', 'a'], { respond })).stderr).toBe('tallyd: overflow: about overflow\n');
  });

  it('stops quietly when its reader has left, and stops asking for more', async () => {
    const page: Respond = (_, count) => reply(200, { counters: [{ name: `${count}`, value: '1' }], cursor: '1' });
    const many: Respond = (_, count) =>
      reply(200, { counters: Array.from({ length: 5_000 }, () => ({ name: `${count}`, value: '1' })), cursor: '1' });
    for (const command of ['list', 'export']) {
      const stdoutFails = { after: 1, code: 'EPIPE' };
      const { code, stderr, sent } = await run([command], { respond: many, stdoutFails });
      expect([code, stderr]).toEqual([0, '']);
      expect(sent.length).toBeLessThan(5);
    }
    expect((await run(['list', '--limit', '3'], { respond: page })).stdout).toBe('1\t0\n1\t1\n1\t2\n');
  });

  it('that cannot be written is a failure', async () => {
    const { code, stderr } = await run(['get', 'a'], { respond: one, stdoutFails: { after: 0, code: 'ENOSPC' } });
    expect([code, stderr]).toEqual([1, 'tallyd: output_failed: cannot write the output: ENOSPC\n']);
  });

  it('of the time to live tells apart: seconds, none, absent', async () => {
    const ttl = async (body: unknown) => run(['ttl', 'a'], { respond: answer(body) });
    expect(await ttl({ ttl: 60, exists: true })).toMatchObject({ code: 0, stdout: '60\n' });
    expect(await ttl({ ttl: null, exists: true })).toMatchObject({ code: 0, stdout: 'none\n' });
    expect(await ttl({ ttl: null, exists: false })).toMatchObject({ code: 1, stdout: 'absent\n' });
  });
});

describe('the connection', () => {
  const respond = answer({ counters: [{ name: 'a', value: '1', exists: true }] });

  it('is told by option, else by environment', async () => {
    const env = { TALLYD_URL: 'http://there:1', TALLYD_SECRET: 'from the environment' };
    const file = join(directory, 'secret');
    await writeFile(file, 'from the file\n');
    const byEnvironment = await run(['get', 'a'], { respond, env });
    expect(byEnvironment.sent[0]).toMatchObject({
      url: expect.stringContaining('http://there:1/'),
      headers: { authorization: 'Bearer from the environment' },
    });
    const byOption = await run(['get', 'a', '--url', 'http://here:2', '--secret-file', file], { respond, env });
    expect(byOption.sent[0]).toMatchObject({
      url: expect.stringContaining('http://here:2/'),
      headers: { authorization: 'Bearer from the file' },
    });
    expect((await run(['get', 'a'], { respond })).sent[0]?.url).toContain('http://127.0.0.1:7070/');
  });

  it('is refused with a secret that is empty, missing or unusable, and does not show it', async () => {
    const file = join(directory, 'bad-secret');
    for (const [content, code] of [
      ['\n', 2],
      ['hush\nhush', 2],
    ] as const) {
      await writeFile(file, content);
      const { code: exit, stderr } = await run(['get', 'a', '--secret-file', file], { respond });
      expect(exit).toBe(code);
      expect(stderr).not.toContain('hush');
    }
    expect((await run(['get', 'a', '--secret-file', join(directory, 'none')], { respond })).code).toBe(1);
  });
});

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
    expect(stderr).toContain('5000 lines before it are imported');
    expect(stdout).toContain('lines             5000\n');
  });

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
    expect((await run(['import', '-', '--dry-run'], { stdin: 'x' })).code).toBe(1);
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
