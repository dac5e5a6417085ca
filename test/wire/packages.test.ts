// Both packages as their users get them: packed, installed from the tarballs without a network, and used from ES
// modules, CommonJS, TypeScript and a bundle for browsers.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ServerProcess, stopServers } from './server-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of a busy machine: npm and the compiler take seconds on a quiet one. */
const PATIENCE_MS = 240_000;
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

interface Packed {
  readonly name: string;
  readonly version: string;
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

let root: string;
let both: string;
let alone: string;
let url: string;
let packs: readonly Packed[];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tallyd-packages-'));
  const workspaces = ['--workspace', 'packages/client', '--include-workspace-root'];
  packs = JSON.parse(npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', root, ...workspaces));
  const [tallyd = '', client = ''] = packs.map(({ filename }) => join(root, filename));
  both = consumer('both', dependencies(), tallyd, client);
  alone = consumer('alone', [], client);
  const script = join(both, 'node_modules/.bin/tallyd');
  const server = await ServerProcess.start({ data: join(root, 'data'), script, flags: ['--resp', 'off'] });
  url = `http://${server.http?.host}:${server.http?.port}`;
}, PATIENCE_MS);
afterAll(async () => {
  await stopServers();
  rmSync(root, { recursive: true, force: true });
});

/** What npm writes to stdout; without the settings of an npm that runs the tests. */
function npm(cwd: string, ...args: string[]): string {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')));
  return execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/**
 * Where tallyd's own dependencies lie in this checkout, and the links to their programs, without which npm asks for
 * them again.
 */
function dependencies(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<
      Record<string, { readonly [reason in 'dev' | 'devOptional' | 'peer' | 'link']?: boolean }>
    >;
  };
  const paths = Object.entries(lock.packages).flatMap(([path, { dev, devOptional, peer, link }]) =>
    path.startsWith('node_modules/') && !(dev || devOptional || peer || link) ? [path] : [],
  );
  return [...paths, 'node_modules/.bin'];
}

/** A package of a user's that has these tarballs, and the packages that they need, from here: no registry is asked. */
function consumer(name: string, present: readonly string[], ...tarballs: string[]): string {
  const directory = join(root, name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, private: true }));
  for (const path of present)
    cpSync(join(ROOT, path), join(directory, path), { recursive: true, verbatimSymlinks: true });
  npm(directory, 'install', '--offline', '--cache', join(root, 'empty'), '--no-audit', '--no-fund', ...tarballs);
  return directory;
}

function tsc(cwd: string, ...args: string[]): void {
  execFileSync(process.execPath, [TSC, '--strict', '--target', 'es2022', ...args], { cwd, encoding: 'utf8' });
}

const PROGRAM = `
import { RefusedError, TallydClient, type Entry } from '@tallyd/client';
import { open, type Count } from 'tallyd';
import { TallydClient as Same } from 'tallyd/client';

async function use([dir = '', name = '', url = '']: string[]): Promise<void> {
  const by: Count = 2n;
  const tally = await open({ dir });
  const embedded = await tally.increment('a', by);
  await tally.close();
  const client = new TallydClient({ url });
  const counted = await client.increment(name, 5);
  const entries: Entry[] = [];
  for await (const entry of client.list({ match: name })) entries.push(entry);
  const refusal: unknown = await client.increment(name, 1, { ceiling: 5 }).catch((error: unknown) => error);
  const same = Same === TallydClient && refusal instanceof RefusedError;
  console.log([embedded, counted, entries[0]?.value, same].join());
}

void use(process.argv.slice(2));
`;

it('are of one version, need each other exactly, and the client nothing at all', () => {
  const [tallyd, client] = packs;
  const manifest = (path: string) => JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
  expect(packs.map(({ name }) => name)).toEqual(['tallyd', '@tallyd/client']);
  expect(manifest(join(both, 'node_modules/tallyd')).dependencies['@tallyd/client']).toBe(client?.version);
  expect(client?.version).toBe(tallyd?.version);
  expect(manifest(join(alone, 'node_modules/@tallyd/client'))).not.toHaveProperty('dependencies');
  expect(readdirSync(join(alone, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['@tallyd']);
  const paths = client?.files.map(({ path }) => path) ?? [];
  expect(paths).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/client.js']));
  expect(paths.filter((path) => !/^(dist\/.*\.(js|d\.ts|json)|LICENSE|README\.md|package\.json)$/.test(path))).toEqual(
    [],
  );
  // Nothing that is no part of the client has slipped in.
  expect(client?.size).toBeLessThan(40_000);
});

it(
  'serve TypeScript in ES modules and CommonJS, under node16 and bundler, and run in both',
  () => {
    for (const extension of ['mts', 'cts']) writeFileSync(join(both, `use.${extension}`), PROGRAM);
    writeFileSync(join(both, 'use.ts'), PROGRAM);
    const node = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')];
    tsc(both, ...node, '--module', 'node16', '--moduleResolution', 'node16', 'use.mts', 'use.cts');
    tsc(both, ...node, '--noEmit', '--module', 'esnext', '--moduleResolution', 'bundler', 'use.ts');
    expect(readFileSync(join(both, 'use.cjs'), 'utf8')).toContain('require("@tallyd/client")');
    for (const format of ['mjs', 'cjs']) {
      const args = [join(both, `use.${format}`), join(both, format), format, url];
      expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe('2,5,5,true\n');
    }
  },
  PATIENCE_MS,
);

it(
  'let a browser count: a bundle of the client needs nothing but the web',
  async () => {
    writeFileSync(
      join(alone, 'page.ts'),
      `import { TallydClient } from '@tallyd/client';
     export const counted = (url: string): Promise<bigint | undefined> => new TallydClient({ url }).increment('page', 3);`,
    );
    const web = ['--types', '', '--lib', 'es2022,dom', '--module', 'esnext', '--moduleResolution', 'bundler'];
    tsc(alone, ...web, 'page.ts');
    const bundle = await rolldown({ input: join(alone, 'page.js'), platform: 'browser', logLevel: 'silent' });
    const { output } = await bundle.generate({ format: 'iife', name: 'page' });
    await bundle.close();
    const [chunk] = output;
    expect([output.length, chunk.imports, chunk.dynamicImports]).toEqual([1, [], []]);
    const { fetch, URL, TextEncoder, AbortController, Headers, crypto, performance, setTimeout, clearTimeout } =
      globalThis;
    const page = { fetch, URL, TextEncoder, AbortController, Headers, crypto, performance, setTimeout, clearTimeout };
    const counted: unknown = runInContext(`${chunk.code}; page.counted(${JSON.stringify(url)})`, createContext(page));
    expect(await counted).toBe(3n);
  },
  PATIENCE_MS,
);
