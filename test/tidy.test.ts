// Style as a test, in two halves: every file of the checkout passes every rule, and every rule refuses a sample that
// breaks it. The second half guards the guards.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type CheckoutRule, checkoutRules } from './tidy/checkout.ts';
import { type Rule, rules } from './tidy/rules.ts';
import { Source, sourcesOf } from './tidy/source.ts';
import { DOUBLES } from './tidy/words.ts';

type Sample = readonly [path: string, text: string];

interface Samples {
  readonly refused: readonly Sample[];
  readonly accepted: readonly Sample[];
}

const many = (count: number, line: string): string => `${line}\n`.repeat(count);
const places = (path: string, ...specifiers: string[]): Sample[] =>
  specifiers.map((specifier) => [path, `import { a } from '${specifier}';`]);

/** Adds the first characters, for the test's name. */
const named = (list: readonly Sample[]): [path: string, start: string, text: string][] =>
  list.map(([path, text]) => [path, text.slice(0, 60), text]);

const samples: Record<keyof typeof rules, Samples> = {
  'imports point downward': {
    refused: [
      ...places('src/std/queue.ts', '../counter/limits.ts', 'node:fs', 'yaml'),
      ...places('src/counter/key.ts', '../crdt/slot.ts', '../engine/engine.ts', 'node:buffer'),
      ...places('src/crdt/merge.ts', '../host/host.ts', '../journal/journal.ts', 'node:crypto'),
      ...places('src/host/host.ts', '../crdt/slot.ts', './node/disk.ts'),
      ...places('src/host/node/disk.ts', '../../journal/segment.ts'),
      ...places('src/journal/segment.ts', '../engine/table.ts', '../host/node/disk.ts', 'node:fs/promises'),
      ...places('src/store/slot-store.ts', '../journal/group.ts', './redis/redis.ts'),
      ...places('src/store/redis/redis.ts', '../postgres/pool.ts', '../../gateway/http/http.ts'),
      ...places('src/engine/engine.ts', '../gateway/http/http.ts', '../server/open.ts', 'node:timers'),
      ...places('src/gateway/http/http.ts', '../resp/resp.ts', '../../server/open.ts', '../../query/windows.ts'),
      ...places('src/gateway/resp/resp.ts', '../http/http.ts'),
      ...places('src/gateway/auth/auth.ts', '../http/http.ts', '../resp/resp.ts'),
      ...places('src/gateway/lines.ts', './http/http.ts'),
      ...places('src/client/client.ts', '../std/assert.ts', '../counter/limits.ts', 'node:http', 'undici'),
      ...places('src/cli/main.ts', '../counter/limits.ts', '../server/main.ts', '../engine/engine.ts'),
      ...places('src/server/main.ts', '../cli/main.ts', '../../package.json', './open.test.ts'),
      ...places('src/cli/main.ts', '../client/errors.ts', '@tallyd/client'),
      ...places('src/attic/attic.ts', '../std/assert.ts'),
      ['src/counter/a.ts', "export { b } from '../engine/b.ts';"],
      ['src/counter/a.ts', "export * from '../engine/b.ts';"],
      ['src/counter/a.ts', "import type { B } from '../engine/b.ts';"],
      ['src/counter/a.ts', "export type B = import('../engine/b.ts').B;"],
      ['src/counter/a.ts', "export const b = await import('../engine/b.ts');"],
    ],
    accepted: [
      ...places('src/counter/key.ts', '../std/assert.ts', './limits.ts'),
      ...places('src/crdt/merge.ts', '../counter/int64.ts', './slot.ts'),
      ...places('src/journal/segment.ts', '../crdt/slot.ts', '../host/host.ts', 'node:crypto'),
      ...places('src/engine/engine.ts', '../journal/group.ts', '../store/authority.ts', './table.ts'),
      ...places('src/store/redis/redis.ts', '../slot-store.ts', 'redis', './script.ts'),
      ...places('src/gateway/http/http.ts', '../auth/secret.ts', '../../counter/service.ts', 'fastify', 'node:net'),
      ...places('src/gateway/resp/resp.ts', '../auth/secret.ts', 'node:net'),
      ...places('src/client/client.ts', './outcome.ts'),
      ...places('src/cli/main.ts', '../client/client.ts', '../std/assert.ts', 'commander', 'node:fs'),
      ...places('src/server/main.ts', '../engine/engine.ts', '../host/node/disk.ts', '../gateway/http/http.ts'),
      ...places('src/counter/key.test.ts', '../engine/engine.ts', 'vitest'),
      ...places('test/wire/http.test.ts', '../../src/client/client.ts'),
    ],
  },
  'files are short': {
    refused: [['src/engine/table.ts', many(401, '//')]],
    accepted: [
      ['src/engine/table.ts', many(400, '//')],
      ['docs/formats.md', many(401, 'x')],
    ],
  },
  'functions are short': {
    refused: [
      ['src/engine/table.ts', `function f() {\n${many(69, ';')}}`],
      ['src/engine/table.ts', `const f = () => {\n${many(69, ';')}};`],
      ['src/engine/table.ts', `class A {\n  get a() {\n${many(69, ';')}}\n}`],
    ],
    accepted: [
      ['src/engine/table.ts', `function f() {\n${many(68, ';')}}`],
      ['src/engine/table.ts', `class A {\n${many(100, 'a = 1;')}}`],
      ['src/engine/table.test.ts', `function f() {\n${many(100, ';')}}`],
    ],
  },
  'lines are short': {
    refused: [
      ['src/engine/a.ts', `// ${'x'.repeat(118)}`],
      ['docs/cli.md', `${'word '.repeat(25)}\n`],
    ],
    accepted: [
      ['src/engine/a.ts', `// ${'x'.repeat(117)}`],
      ['src/engine/a.ts', `const text = '${'x'.repeat(120)}';`],
      ['docs/cli.md', `| ${'word '.repeat(25)} |\n\`\`\`\n${'word '.repeat(25)}\n\`\`\`\n`],
    ],
  },
  'nothing lies loose in src': {
    refused: [['src/engine.ts', '']],
    accepted: [['src/engine/engine.ts', '']],
  },
  'names say what a file is about': {
    refused: [
      ['src/utils/queue.ts', ''],
      ['src/engine/types.ts', ''],
      ['src/engine/helpers.test.ts', ''],
      ['src/journal/frame-utils.ts', ''],
      ['src/engine/index.ts', ''],
      ['test/common/server.ts', ''],
    ],
    accepted: [
      ['src/counter/policy.ts', ''],
      ['src/engine/name-index.ts', ''],
    ],
  },
  'no default export': {
    refused: [
      ['src/engine/a.ts', 'export default class A {}'],
      ['src/engine/a.ts', 'const a = 1;\nexport { a as default };'],
    ],
    accepted: [
      ['src/engine/a.ts', 'export class A {}'],
      ['vitest.config.ts', 'export default {};'],
    ],
  },
  'no enum': {
    refused: [
      ['src/engine/a.ts', 'enum A { B }'],
      ['src/engine/a.ts', 'export const enum A { B }'],
    ],
    accepted: [['src/engine/a.ts', "const text = 'enum A { B }';"]],
  },
  'no any': {
    refused: [
      ['src/engine/a.ts', 'export const a: any = 1;'],
      ['src/engine/a.test.ts', 'export const a = b as Record<string, any>;'],
    ],
    accepted: [['src/engine/a.ts', '// any\nexport const any: unknown = 1;']],
  },
  'nothing is put off in a comment': {
    refused: [
      ['src/engine/a.ts', '// TODO: later'],
      ['src/engine/a.ts', '/* a FIXME */'],
      ['test/wire/a.ts', '// XXX'],
      ['scripts/a.mjs', '// HACK around it'],
    ],
    accepted: [['src/engine/a.ts', "// what is still to do\nconst a = 'TODO';"]],
  },
  'the type checker is not silenced': {
    refused: [
      ['src/engine/a.ts', '// @ts-ignore\na();'],
      ['src/engine/a.ts', '// @ts-nocheck'],
    ],
    accepted: [['src/engine/a.test.ts', '// @ts-expect-error: a string is no amount\na();']],
  },
  'every test runs': {
    refused: [
      ['src/engine/a.test.ts', "it.only('counts', () => {});"],
      ['src/engine/a.test.ts', "describe.skip('counts', () => {});"],
      ['test/wire/a.test.ts', "test.concurrent.skip('counts', () => {});"],
      ['test/wire/a.test.ts', "it.todo('counts');"],
    ],
    accepted: [
      ['test/wire/a.test.ts', "it.skipIf(strace === undefined)('counts', () => {});"],
      ['src/engine/a.ts', 'reader.skip(4);'],
    ],
  },
  'relative imports end with .ts': {
    refused: [
      ...places('src/engine/a.ts', './table', './table.js', '..'),
      ['test/wire/a.ts', "const b = await import('./b.js');"],
    ],
    accepted: places('src/engine/a.ts', './table.ts', 'node:fs', '@fastify/cors'),
  },
  'no error is swallowed': {
    refused: [
      ['src/engine/a.ts', 'try { a(); } catch {}'],
      ['src/engine/a.ts', 'try { a(); } catch (error) {\n}'],
      ['src/engine/a.ts', 'a().catch(() => {});'],
      ['src/engine/a.ts', 'a().catch(() => undefined);'],
      ['src/engine/a.ts', 'a().then(b, function () {});'],
    ],
    accepted: [
      ['src/engine/a.ts', 'try { a(); } catch { b(); }'],
      ['src/engine/a.ts', 'try { a(); } catch {\n  // the peer is gone, which is what we wanted\n}'],
      ['src/engine/a.ts', 'a().catch((error) => log(error));'],
      ['test/wire/a.ts', 'a().catch(() => {});'],
    ],
  },
  'no path of a machine': {
    refused: [
      ['src/engine/a.ts', `const a = '${'/'}work/tallyd';`],
      ['docs/start.md', `cd ${'/'}root/tallyd`],
    ],
    accepted: [
      ['src/engine/a.ts', "import { a } from '../work/a.ts';"],
      ['docs/start.md', 'data lies in ./root/ and at https://example.org/work/1'],
    ],
  },
  'the lock names the public registry only': {
    refused: [['package-lock.json', '"resolved": "https://registry.example.org/yaml.tgz"']],
    accepted: [
      ['package-lock.json', '"resolved": "https://registry.npmjs.org/yaml.tgz"'],
      ['package-lock.json', '"resolved": "packages/client"'],
    ],
  },
  'no big file': {
    refused: [['test/golden.bin', 'x'.repeat(1024 * 1024 + 1)]],
    accepted: [['test/golden.bin', 'x'.repeat(1024 * 1024)]],
  },
  'pages say where the command comes from': {
    refused: [
      ['docs/cli.md', '```sh\ntallyd get a\n```\n'],
      ['docs/import.md', '```sh\nzcat a | tallyd import -\n```\n'],
    ],
    accepted: [
      ['docs/cli.md', '[Installing](../README.md#installing)\n```sh\ntallyd get a\n```\n'],
      ['docs/operations.md', '```\ntallyd ready\n```\nas `tallyd serve` says'],
    ],
  },
  'tests draw from one source': {
    refused: [['src/engine/a.test.ts', "import fc from 'fast-check';"]],
    accepted: [
      ['src/engine/a.test.ts', "import { fc } from '../../test/property.ts';"],
      ['test/property.ts', "import fc from 'fast-check';"],
    ],
  },
  'a word has one meaning': {
    refused: [
      ['src/gateway/http/a.ts', 'class Exchange {}'],
      ['src/engine/name-index.ts', '// A full segment is split.'],
      ['docs/formats.md', 'until the next checkpoint'],
    ],
    accepted: [
      ['src/exchange/a.ts', 'class Exchange {}'],
      ['src/gateway/http/a.ts', 'class DoorContext {}'],
    ],
  },
};

const checkout = sourcesOf(fileURLToPath(new URL('..', import.meta.url)));

describe.each(Object.entries(rules) as [keyof typeof rules, Rule][])('%s', (name, rule) => {
  it('everywhere', () => {
    const complaints = checkout.flatMap((source) =>
      rule(source).map(({ line, complaint }) => `${source.path}:${line}: ${complaint}`),
    );
    expect(complaints).toEqual([]);
  });

  it.each(named(samples[name].refused))('refuses %s: %j', (path, _, text) => {
    const findings = rule(new Source(path, text));
    expect(findings).not.toEqual([]);
    for (const { complaint } of findings) expect(complaint, 'names what to do instead').toContain(': ');
  });

  it.each(named(samples[name].accepted))('accepts %s: %j', (path, _, text) => {
    expect(rule(new Source(path, text))).toEqual([]);
  });
});

const checkoutSamples: Record<
  keyof typeof checkoutRules,
  { refused: readonly Sample[][]; accepted: readonly Sample[][] }
> = {
  'no circle between files, nor between their types': {
    refused: [
      [
        ['src/engine/a.ts', "import { b } from './b.ts';"],
        ['src/engine/b.ts', "import type { C } from './c.ts';"],
        ['src/engine/c.ts', "import type { A } from './a.ts';"],
      ],
    ],
    accepted: [
      [
        ['src/engine/a.ts', "import { b } from './b.ts';\nimport { c } from './c.ts';"],
        ['src/engine/b.ts', "import { c } from './c.ts';"],
        ['src/engine/c.ts', "import { readFile } from 'node:fs';"],
      ],
    ],
  },
  'comments name files that exist': {
    refused: [[['src/engine/a.ts', '// How, `b.ts` says.']], [['src/engine/a.ts', '/** As in engine/b.ts. */']]],
    accepted: [
      [
        ['src/engine/a.ts', "// How, `engine/b.ts` says, or b.ts, or any a*.ts, in Node.js.\nconst c = 'c.ts';"],
        ['src/engine/b.ts', ''],
      ],
    ],
  },
};

describe.each(Object.entries(checkoutRules) as [keyof typeof checkoutRules, CheckoutRule][])('%s', (name, rule) => {
  const sourcesIn = (files: readonly Sample[]): Source[] => files.map(([path, text]) => new Source(path, text));

  it('everywhere', () => expect(rule(checkout)).toEqual([]));

  it.each(checkoutSamples[name].refused)('refuses sample %#', (...files) => {
    expect(rule(sourcesIn(files))).not.toEqual([]);
  });

  it.each(checkoutSamples[name].accepted)('accepts sample %#', (...files) => {
    expect(rule(sourcesIn(files))).toEqual([]);
  });
});

it.each(DOUBLES)('the glossary says what to write instead of $word', ({ word, instead }) => {
  const glossary = checkout.find(({ path }) => path === 'docs/glossary.md');
  const rows = glossary?.text.split('## Doubles')[1]?.split('\n');
  const row = rows?.find((line) => line.startsWith('| ') && line.split('|')[1]?.includes(word));
  expect(row).toContain(instead);
});

it('looks at the files that matter', () => {
  const paths = checkout.map(({ path }) => path);
  expect(paths).toContain('test/tidy.test.ts');
  expect(paths).toContain('package-lock.json');
  expect(paths.some((path) => path.startsWith('src/'))).toBe(true);
});
