import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { IDEMPOTENCY_DEFAULTS } from '../engine/idempotency.ts';
import { type Environment, type Flags, loadConfig, type ServerConfig } from './config.ts';
import { SETTINGS, type SettingKey } from './settings.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-config-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function file(name: string, text: string, mode = 0o600): Promise<string> {
  const path = join(root, name);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

async function fromYaml(text: string, flags: Flags = {}, environment: Environment = {}): Promise<ServerConfig> {
  return loadConfig({ ...flags, config: await file('tallyd.yaml', text) }, environment);
}

/** Passes when the settings are refused as a usage error with a sentence that matches. */
async function refused(loading: Promise<ServerConfig>, sentence: RegExp): Promise<void> {
  await expect(loading).rejects.toMatchObject({ name: 'StartError', exitCode: 2 });
  await expect(loading).rejects.toThrow(sentence);
}

describe('settings', () => {
  it('have their defaults', async () => {
    expect(await loadConfig({}, {})).toMatchObject({
      engine: { directory: './data', durability: 'always', takeOver: false, policies: [] },
      region: undefined,
      doors: {
        http: { host: '127.0.0.1', port: 7070 },
        resp: { host: '127.0.0.1', port: 7379 },
        secret: undefined,
        cors: { origins: undefined, methods: undefined },
        allowedHosts: undefined,
        accessLog: 'off',
        auditLog: 'off',
      },
      logLevel: 'info',
    });
  });

  it('have defaults in the help that are those of the engine', () => {
    const shownDefault = (key: SettingKey): unknown => {
      const setting = SETTINGS.find((candidate) => candidate.key === key);
      return setting?.parse(setting.default ?? setting.otherwise);
    };
    expect(shownDefault('idempotency-retention')).toBe(IDEMPOTENCY_DEFAULTS.retentionMs);
    expect(shownDefault('idempotency-bytes')).toBe(IDEMPOTENCY_DEFAULTS.bytesMax);
    expect(shownDefault('idempotency-clock-skew')).toBe(IDEMPOTENCY_DEFAULTS.clockSkewMs);
  });

  it('come from flags over variables over the file', async () => {
    const yaml = 'http: 127.0.0.1:1\nresp: 127.0.0.1:1\ndata: from-file\n';
    const environment = { TALLYD_RESP: '127.0.0.1:2', TALLYD_HTTP: '127.0.0.1:2', TALLYD_LOG_LEVEL: '' };
    const config = await fromYaml(yaml, { http: '127.0.0.1:3' }, environment);
    expect(config.doors).toMatchObject({ http: { port: 3 }, resp: { port: 2 } });
    expect([config.engine.directory, config.logLevel]).toEqual(['from-file', 'info']);
  });

  it('take IPv6 addresses, any port, and off', async () => {
    expect((await loadConfig({ http: '[::1]:0', resp: 'off' }, {})).doors).toMatchObject({
      http: { host: '::1', port: 0 },
      resp: undefined,
    });
    expect((await fromYaml('http: off\n')).doors).toMatchObject({ http: undefined });
  });

  it('take origins as a list, with blanks or commas, and all', async () => {
    const environment = { TALLYD_CORS: 'https://a.example, http://localhost:3000' };
    const { origins } = (await loadConfig({}, environment)).doors.cors;
    expect(origins).toEqual(['https://a.example', 'http://localhost:3000']);
    expect((await fromYaml('cors: [https://a.example]\n')).doors.cors.origins).toEqual(['https://a.example']);
    expect((await loadConfig({ cors: ['*'] }, {})).doors.cors.origins).toEqual(['*']);
  });

  it('take methods and names of hosts in the same way', async () => {
    const flags = { 'cors-methods': ['GET', 'PUT,DELETE'], 'allowed-hosts': ['Tally.Example.com'] };
    expect((await loadConfig(flags, {})).doors).toMatchObject({
      cors: { methods: ['GET', 'PUT', 'DELETE'] },
      allowedHosts: ['tally.example.com'],
    });
    expect((await fromYaml('allowed-hosts: [tallyd-1, "*"]\n')).doors.allowedHosts).toEqual(['tallyd-1', '*']);
  });

  it('take units', async () => {
    const yaml = 'idempotency-retention: 90\nidempotency-bytes: 1GiB\nidempotency-clock-skew: 500ms\n';
    expect((await fromYaml(yaml)).engine.idempotency).toEqual({
      retentionMs: 90_000,
      bytesMax: 2 ** 30,
      clockSkewMs: 500,
    });
  });

  it.each<[string, Flags, Environment, RegExp]>([
    ['an address without port', { http: 'localhost' }, {}, /^--http: "localhost" is not HOST:PORT/],
    ['a port that is too great', { resp: '127.0.0.1:65536' }, {}, /^--resp: .* is not HOST:PORT/],
    ['an IPv6 address without brackets', { http: '::1:7070' }, {}, /^--http: .* is not HOST:PORT/],
    ['a wrong IPv6 address', { http: '[::zz]:7070' }, {}, /^--http: /],
    ['a wrong variable, also under a right flag', { durability: 'off' }, { TALLYD_DURABILITY: 'no' }, /^TALLYD_DURAB/],
    ['an unknown mode', { durability: 'sometimes' }, {}, /"sometimes" is none of always, interval, off/],
    ['a switch that is neither true nor false', {}, { TALLYD_INSECURE: 'maybe' }, /neither true nor false/],
    ['a duration without meaning', { 'idempotency-retention': '1.5h' }, {}, /"1.5h" is not a duration/],
    ['a size of nothing', { 'idempotency-bytes': '0' }, {}, /is not a size/],
    ['an origin with a path', { cors: ['https://example.com/x'] }, {}, /^--cors: .* is not the origin/],
    ['an origin without scheme', {}, { TALLYD_CORS: 'example.com' }, /is not the origin/],
    ['a method that no route takes', { 'cors-methods': ['PATCH'] }, {}, /^--cors-methods: "PATCH" is none of GET/],
    ['a host with its port', { 'allowed-hosts': ['a.example:7070'] }, {}, /^--allowed-hosts: .* leave its port out/],
    ['two doors that are off', { http: 'off', resp: 'off' }, {}, /both off/],
    ['a config file that is not there', { config: '/nowhere/tallyd.yaml' }, {}, /config file .* cannot be read/],
  ])('refuse %s', (_what, flags, environment, sentence) => refused(loadConfig(flags, environment), sentence));
});

describe('the config file', () => {
  it('gives policies with exact bounds', async () => {
    const yaml = `
policies:
  - match: "likes:*"
    floor: 0
  - match: wide
    floor: ${INT64_MIN}
    ceiling: "${INT64_MAX}"
    saturate: true
    ttl: 5m
    reads: dirty
`;
    expect((await fromYaml(yaml)).engine.policies).toEqual([
      { match: 'likes:*', floor: 0n },
      { match: 'wide', floor: INT64_MIN, ceiling: INT64_MAX, saturate: true, ttlMs: 300_000, reads: 'dirty' },
    ]);
  });

  it('may be empty', async () => {
    expect((await fromYaml('# nothing yet\n')).engine.policies).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ['an unknown key', 'htp: off\n', /tallyd.yaml: unknown key 'htp': known are http, resp/],
    ['a key twice', 'data: a\ndata: b\n', /not valid YAML: .*unique.* line 2/],
    ['a broken line', 'data: "a\n', /not valid YAML/],
    ['a list', '- a\n', /not a map/],
    ['a wrong value', 'http: 7070\n', /^config file: http: 7070 is not HOST:PORT/],
    ['the secret itself', 'secret: s3cret\n', /unknown key 'secret': put the secret in a file of its own/],
    ['take-over', 'take-over: true\n', /give it as the flag --take-over/],
    ['policies that are no list', 'policies: x\n', /policies: not a list/],
    ['an unknown key of a policy', 'policies: [{match: a, flor: 1}]\n', /policies\[0\]: unknown key 'flor'/],
    ['a key of the language', 'policies: [{match: a, constructor: 1}]\n', /unknown key 'constructor'/],
    ['a policy without pattern', 'policies: [{floor: 1}]\n', /policies\[0\]: the key 'match' is missing/],
    ['a fraction', 'policies: [{match: a, floor: 1.0}]\n', /policies\[0\].floor: 1 is not an integer/],
    ['more than 64 bits', `policies: [{match: a, ceiling: ${INT64_MAX + 1n}}]\n`, /ceiling: 9223372036854775808 is/],
    ['crossed bounds', 'policies: [{match: a, floor: 2, ceiling: 1}]\n', /the floor 2 is above the ceiling 1/],
    ['a ttl of nothing', 'policies: [{match: a, ttl: 0}]\n', /policies\[0\].ttl: 0 is not a duration/],
    ['a pattern of nothing', 'policies: [{match: ""}]\n', /match: nothing is given/],
    ['a pattern that is a number', 'policies: [{match: 42}]\n', /match: 42 is not a text; put it in quotes/],
  ])('is refused with %s', (_what, yaml, sentence) => refused(fromYaml(yaml), sentence));
});

describe('the secret', () => {
  it('has at most 1,024 characters, so that it can be shown before anything else is read', async () => {
    expect((await loadConfig({}, { TALLYD_SECRET: 'x'.repeat(1024) })).doors.secret?.matches('x'.repeat(1024))).toBe(
      true,
    );
    await expect(loadConfig({}, { TALLYD_SECRET: 'x'.repeat(1025) })).rejects.toThrow(/longer than 1024 characters/);
  });

  it('comes from a file, without its last line break', async () => {
    const path = await file('secret', 's3cret\n');
    const { doors, warnings } = await loadConfig({ 'secret-file': path }, {});
    const { secret } = doors;
    expect(secret?.matches('s3cret')).toBe(true);
    expect(secret?.matches('s3cret\n')).toBe(false);
    expect(warnings).toEqual([]);
  });

  it('comes from the flag over the variable over the file', async () => {
    const path = await file('secret-a', 'a');
    const environment = { TALLYD_SECRET: 'b' };
    expect((await loadConfig({ 'secret-file': path }, environment)).doors.secret?.matches('a')).toBe(true);
    expect((await fromYaml(`secret-file: ${path}`, {}, environment)).doors.secret?.matches('b')).toBe(true);
  });

  it('shows nowhere in the configuration', async () => {
    const config = await loadConfig({}, { TALLYD_SECRET: 's3cret' });
    expect(inspect(config, { depth: 9, showHidden: true }) + JSON.stringify(config)).not.toContain('s3cret');
  });

  it('warns when others can read the file', async () => {
    const path = await file('secret-open', 's3cret', 0o644);
    expect((await loadConfig({ 'secret-file': path }, {})).warnings).toEqual([expect.stringMatching(/chmod 600/)]);
  });

  it('is refused when it is empty, unreadable, ambiguous or no header can carry it', async () => {
    const path = await file('secret-empty', '\n');
    await refused(loadConfig({ 'secret-file': path }, {}), /secret is empty/);
    await refused(loadConfig({}, { TALLYD_SECRET: '' }), /TALLYD_SECRET: the secret is empty/);
    await refused(loadConfig({ 'secret-file': join(root, 'none') }, {}), /secret-file .* cannot be read/);
    await refused(loadConfig({}, { TALLYD_SECRET: 'a', TALLYD_SECRET_FILE: path }), /both set/);
    const refusal = loadConfig({}, { TALLYD_SECRET: 'two words' });
    await refused(refusal, /printable ASCII/);
    await expect(refusal).rejects.not.toThrow(/two words/);
  });
});

describe('an address that is not loopback', () => {
  it.each(['0.0.0.0:1', '[::]:1', '192.0.2.1:1', 'example.com:1', '[2001:db8::1]:1'])(
    'is refused without a secret: %s',
    async (address) => {
      await refused(
        loadConfig({ http: address }, {}),
        /is not a loopback address, and no secret is set: set TALLYD_SEC/,
      );
      await refused(loadConfig({ resp: address }, {}), /^resp .* is not a loopback address/);
    },
  );

  it.each(['127.0.0.1:1', '127.8.9.1:1', '[::1]:1', 'localhost:1', '[::ffff:127.0.0.1]:1'])(
    'is not this one: %s',
    async (address) => {
      await loadConfig({ http: address, resp: address }, {});
    },
  );

  it('is allowed with a secret, and with --insecure under a warning', async () => {
    expect((await loadConfig({ http: '0.0.0.0:1' }, { TALLYD_SECRET: 's3cret' })).warnings).toEqual([]);
    const { warnings } = await loadConfig({ http: '0.0.0.0:1', insecure: true }, {});
    expect(warnings).toEqual([expect.stringMatching(/http on 0.0.0.0:1 takes commands from everyone/)]);
  });
});

describe('memory for shared counters', () => {
  const store = { store: 'postgres://db/counts' };

  it('is half of the heap unless told, and of no interest without a store', async () => {
    const heapBytes = getHeapStatistics().heap_size_limit;
    expect((await loadConfig({}, {})).engine.memoryBytesMax).toBeUndefined();
    expect((await loadConfig(store, {})).region?.memoryBytes).toBe(Math.floor(heapBytes / 2));
    const { engine, region, warnings } = await loadConfig({ ...store, memory: '64MiB' }, {});
    expect([engine.memoryBytesMax, region?.memoryBytes, warnings]).toEqual([undefined, 64 * 2 ** 20, []]);
  });

  it('warns where the heap has no room for it', async () => {
    const { engine, region, warnings } = await loadConfig({ ...store, memory: '630GiB' }, {});
    expect([engine.memoryBytesMax, region?.memoryBytes, warnings]).toEqual([
      undefined,
      630 * 2 ** 30,
      [expect.stringContaining('--max-old-space-size=1024000')],
    ]);
  });
});
