// What `npm start`, `npm test` and the other scripts run. It brings a fresh clone to work on any Node from 18 up,
// with nothing but what Node ships: install what is missing, build what is stale, hand over to the pinned Node.

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { build, tsc } from './build.mjs';
import { installPackages, installPrograms, pinnedNode } from './install.mjs';
import { withLock } from './lock.mjs';
import { Failure, run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const lock = join(root, 'node_modules', '.tallyd-lock');
const inCi = process.env.CI === 'true';

const commands = { start, test, build: buildOnly, check, bench };

const [name = '', ...args] = process.argv.slice(2);
try {
  if (!Object.hasOwn(commands, name))
    throw new Failure(`unknown command '${name}': ${Object.keys(commands).join(', ')}`);
  process.exitCode = await commands[name](args);
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`tallyd: ${error.message}\n`);
  process.exitCode = 1;
}

/** The server, as `tallyd serve`; stdout carries nothing but its own lines. */
async function start(options) {
  const node = await prepare();
  // The user's directory, not ours: npm moves to the package's root, where ./data is meant to be anyway.
  return run(node, [join(root, 'bin/tallyd.js'), 'serve', ...options], { detached: true });
}

async function buildOnly() {
  await prepare();
  return 0;
}

async function check() {
  const node = await prepare({ building: false });
  for (const [title, work] of checks(node)) await stage(title, work);
  return 0;
}

async function bench(options) {
  const node = await prepare();
  await installPrograms();
  return run(node, [join(root, 'bench/bench.ts'), ...options], { cwd: root });
}

/** Everything that must hold. `filters` go to vitest only. */
async function test(filters) {
  const node = await prepare({ building: false });
  const missing = await installPrograms();
  if (missing.length > 0) {
    process.stderr.write(
      `missing and not installable here: ${missing.join(', ')}; tests that need them will be skipped\n`,
    );
    if (inCi) throw new Failure('CI=true: a skipped test is a failure');
  }
  for (const [title, work] of checks(node)) await stage(title, work);
  await stage('build', () => withLock(lock, () => build(root, node)).then(() => 0));
  let counts = '';
  await stage(
    'vitest',
    async () => {
      const report = await vitest(node, filters);
      counts = report.counts;
      if (report.code === 0 && inCi && report.skipped > 0) throw new Failure(`CI=true: ${counts}; none may be skipped`);
      return report.code;
    },
    () => counts,
  );
  return 0;
}

/** Installs and builds under the lock; returns the Node to go on with, first on PATH for everything below. */
async function prepare({ building = true } = {}) {
  const node = await withLock(lock, async () => {
    await installPackages(root);
    const found = pinnedNode(root);
    if (building) await build(root, found);
    return found;
  });
  process.env.PATH = `${bin}${delimiter}${process.env.PATH ?? ''}`;
  return node;
}

function checks(node) {
  const tool =
    (path, ...options) =>
    () =>
      run(node, [join(root, 'node_modules', path), ...options], { cwd: root });
  return [
    ['types', () => run(node, [tsc(root), '-p', 'tsconfig.test.json'], { cwd: root })],
    ['biome', tool('@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.')],
    ['oxlint', tool('oxlint/bin/oxlint', '--type-aware', '--deny-warnings')],
  ];
}

/** Runs one stage, tells how long it took, and stops everything when it fails. */
async function stage(title, work, summary = () => '') {
  process.stdout.write(`== ${title}\n`);
  const since = performance.now();
  let code = 1;
  try {
    code = await work();
  } finally {
    const seconds = ((performance.now() - since) / 1_000).toFixed(1);
    process.stdout.write(`== ${title}: ${code === 0 ? 'ok' : 'FAILED'} (${seconds} s)\n`);
    if (summary() !== '') process.stdout.write(`${summary()}\n`);
  }
  if (code !== 0) throw new Failure(`${title} failed`);
}

async function vitest(node, filters) {
  const cache = join(root, 'node_modules', '.cache');
  const output = join(cache, `vitest.${process.pid}.json`);
  mkdirSync(cache, { recursive: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${output}`];
  const entry = join(root, 'node_modules/vitest/vitest.mjs');
  const code = await run(node, [entry, 'run', ...reporters, ...filters], { cwd: root });
  if (!existsSync(output)) return { code: code || 1, counts: '', skipped: 0 };
  const report = JSON.parse(readFileSync(output, 'utf8'));
  rmSync(output);
  const skipped = report.numPendingTests + report.numTodoTests;
  return {
    code,
    skipped,
    counts: `${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped`,
  };
}
