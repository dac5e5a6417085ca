// What `npm start`, `npm test` and the other scripts run. It brings a fresh clone to work on any Node from 18 up,
// with nothing but what Node ships: install what is missing, build what is stale, hand over to the pinned Node.

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { memoryEnvironment, memoryFlags } from '../bin/memory.js';
import { build, tsc } from './build.mjs';
import { installPackages, installPrograms, pinnedNode } from './install.mjs';
import { withLock } from './lock.mjs';
import { Failure, run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const lock = join(root, 'node_modules', '.tallyd-lock');
const inCi = process.env.CI === 'true';

const commands = {
  start,
  test,
  build: buildOnly,
  check,
  bench: (options) => bench('bench.ts', options),
  'bench:region': (options) => bench('region.ts', options),
};

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
  // The user's directory, not ours: npm moves to the package's root, where ./data is meant to be anyway. The channel
  // tells the server when we are killed without a word: it then ends, too, and frees its ports and directory.
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
  const env = memoryEnvironment({ ...process.env, TALLYD_LAUNCHED: '1' });
  return run(node, [...memoryFlags, join(root, 'bin/tallyd.js'), 'serve', ...options], { detached: true, stdio, env });
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

async function bench(program, options) {
  const node = await prepare();
  await installPrograms();
  return run(node, [join(root, 'bench', program), ...options], { cwd: root });
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
  let tally = '';
  try {
    await stage('vitest', async () => {
      const report = await vitest(node, filters);
      tally = report.tally;
      return report.code;
    });
    const publint = [join(root, 'node_modules/publint/src/cli.js'), '--strict'];
    for (const folder of ['.', 'packages/client'])
      await stage(`package in ${folder}`, () => run(node, publint, { cwd: join(root, folder) }));
  } finally {
    if (tally !== '') process.stdout.write(`${tally}\n`);
  }
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
async function stage(title, work) {
  process.stdout.write(`== ${title}\n`);
  const since = performance.now();
  let code = 1;
  try {
    code = await work();
  } finally {
    const seconds = ((performance.now() - since) / 1_000).toFixed(1);
    process.stdout.write(`== ${title}: ${code === 0 ? 'ok' : 'FAILED'} (${seconds} s)\n`);
  }
  if (code !== 0) throw new Failure(`${title} failed`);
}

/** Runs vitest; a skipped test counts as a failure in CI, since nobody would ever notice it otherwise. */
async function vitest(node, filters) {
  const cache = join(root, 'node_modules', '.cache');
  const output = join(cache, `vitest.${process.pid}.json`);
  mkdirSync(cache, { recursive: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${output}`];
  const entry = join(root, 'node_modules/vitest/vitest.mjs');
  const env = process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: '1' };
  const code = await run(node, [entry, 'run', ...reporters, ...filters], { cwd: root, env });
  if (!existsSync(output)) return { code: code || 1, tally: '' };
  const report = JSON.parse(readFileSync(output, 'utf8'));
  rmSync(output);
  const skipped = report.testResults
    .flatMap((file) => file.assertionResults)
    .filter(({ status }) => !['passed', 'failed'].includes(status));
  for (const { fullName } of skipped) process.stdout.write(`skipped${inCi ? ', a failure in CI' : ''}: ${fullName}\n`);
  return {
    code: code === 0 && inCi && skipped.length > 0 ? 1 : code,
    tally: `${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped.length} skipped`,
  };
}
