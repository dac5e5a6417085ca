// The command line against scripted answers: what is sent, what is printed, and how it ends. What a real server makes
// of it is in test/wire/cli.test.ts.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { answer, problem, type Respond, reply, run } from '../../test/cli/scripted-run.ts';
import { ERRORS } from '../counter/errors.ts';
import { inCliWords } from './failure.ts';

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
    [['import', 'events', '--refused', './events']],
    [['--url', 'http://127.0.0.1:1', 'serve']],
    [['--json', 'verify', 'data']],
  ])('%j is refused with exit code 2 and a sentence, and nothing is sent', async (argv) => {
    const { code, stdout, stderr, sent } = await run(argv);
    expect([code, stdout, sent]).toEqual([2, '', []]);
    expect(stderr).not.toBe('');
    expect(stderr).not.toContain('    at ');
  });

  it('is refused as JSON where that is asked for', async () => {
    for (const argv of [['frob'], ['incr'], ['incr', 'a', 'b'], ['incr', 'a', '--frob']]) {
      const { code, stderr } = await run([...argv, '--json']);
      expect([code, JSON.parse(stderr)]).toEqual([2, { code: 'usage', detail: expect.any(String) }]);
    }
  });

  it('says the count and the time left with a refusal by a bound', async () => {
    const respond: Respond = () => problem(409, 'above_ceiling', { value: '100', ttl: 42 });
    const { code, stderr } = await run(['incr', 'calls', '--ceiling', '100'], { respond });
    expect(code).toBe(1);
    expect(stderr).toContain('; the count is 100, and expires in 42 s\n');
    const { stderr: json } = await run(['incr', 'calls', '--json'], { respond });
    expect(JSON.parse(json)).toMatchObject({ outcome: 'refused', code: 'above_ceiling', value: 100, ttl: 42 });
  });

  it("is refused in the command line's own words", async () => {
    const respond: Respond = () => problem(409, 'below_floor', { detail: ERRORS.below_floor.message });
    const { stderr } = await run(['decr', 'stock', '--floor', '0'], { respond });
    expect(stderr).toContain('pass --saturate to take what is there');
    for (const { message } of Object.values(ERRORS))
      expect(inCliWords(message)).not.toMatch(/pass saturate|Idempotency-Key|Authorization/);
  });

  it('begins a window that does not move', async () => {
    const respond: Respond = () => reply(200, { value: '1', applied: '1' });
    const { code, sent } = await run(['incr', 'calls', '--ttl', '60', '--ttl-if-none'], { respond });
    expect([code, JSON.parse(sent[0]?.body ?? '')]).toEqual([0, { by: '1', ttl: 60, ttlIfNone: true }]);
    expect((await run(['incr', 'calls', '--ttl-if-none'])).code).toBe(2);
  });

  it.each(['0', '-1', 'soon', '1e3', '9999999'])('with a time limit of %s is refused', async (timeout) => {
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
    const commands =
      'serve incr decr get mget set reset del list ttl import export snapshot verify backup node info'.split(' ');
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    for (const command of commands.filter((name) => !['serve', 'verify', 'backup', 'node'].includes(name))) {
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

  it('says after a second that nobody answers, once', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const refused = () => {
      now += 400;
      throw new TypeError('fetch failed', { cause: Object.assign(new Error('refused'), { syscall: 'connect' }) });
    };
    const { stderr } = await run(['get', 'a', '--timeout', '1'], { respond: refused });
    expect(stderr.match(/nobody answers at http:\/\/127\.0\.0\.1:7070; still trying/g)).toHaveLength(1);
    vi.restoreAllMocks();
  });

  it('info shows fields within fields by their path', async () => {
    const info = {
      state: 'open',
      durability: 'always',
      version: '1',
      counters: '3',
      store: { replica: 'ab', held: 2 },
    };
    const { stdout } = await run(['info'], { respond: () => reply(200, info) });
    expect(stdout).toMatch(/^store\.replica {2,}ab$/m);
    expect(stdout).not.toContain('[object');
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

  it.each(['list', 'export'])('of %s is told apart where the server lists only what it holds', async (command) => {
    const page = (more: object) => answer({ counters: [{ name: 'a', value: '1' }], cursor: null, ...more });
    expect((await run([command], { respond: page({}) })).stderr).toBe('');
    const { code, stderr } = await run([command], { respond: page({ onlyHeld: true }) });
    expect([code, stderr]).toEqual([0, expect.stringContaining('only those are listed that this node holds')]);
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
    const env = { TALLYD_URL: 'http://there:1', TALLYD_SECRET: 'from-the-environment' };
    const file = join(directory, 'secret');
    await writeFile(file, 'from-the-file\n');
    const byEnvironment = await run(['get', 'a'], { respond, env });
    expect(byEnvironment.sent[0]).toMatchObject({
      url: expect.stringContaining('http://there:1/'),
      headers: { authorization: 'Bearer from-the-environment' },
    });
    const byOption = await run(['get', 'a', '--url', 'http://here:2', '--secret-file', file], { respond, env });
    expect(byOption.sent[0]).toMatchObject({
      url: expect.stringContaining('http://here:2/'),
      headers: { authorization: 'Bearer from-the-file' },
    });
    const byFile = await run(['get', 'a'], { respond, env: { TALLYD_SECRET: '', TALLYD_SECRET_FILE: file } });
    expect(byFile.sent[0]?.headers).toMatchObject({ authorization: 'Bearer from-the-file' });
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
