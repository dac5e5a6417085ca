// Compiles src to dist when dist is not the product of exactly these sources. Compares content, not times: a checkout,
// a copy or a branch switch moves times without meaning anything.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { Failure, run } from './run.mjs';

const PRODUCTS = ['.js', '.d.ts'];

/** Builds if needed. `node` runs the compiler. Returns whether it did. */
export async function build(root, node) {
  const stamp = join(root, 'dist', '.build-stamp');
  const sources = sourceFiles(root);
  const wanted = sourcesHash(root, sources);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return false;
  process.stderr.write('building ...\n');
  rmSync(stamp, { force: true });
  const code = await run(node, [tsc(root), '-p', 'tsconfig.json'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (code !== 0) throw new Failure('the build failed: see the messages above');
  removeOrphans(root, sources);
  writeFileSync(stamp, wanted);
  return true;
}

/** The compiler's entry, to be run by the pinned Node. */
export function tsc(root) {
  return join(root, 'node_modules/typescript/bin/tsc');
}

function sourceFiles(root) {
  return filesBelow(join(root, 'src')).filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'));
}

function sourcesHash(root, sources) {
  const hash = createHash('sha256');
  const inputs = [join(root, 'tsconfig.json'), join(root, 'node_modules/typescript/package.json'), ...sources];
  for (const path of inputs) {
    const content = readFileSync(path);
    hash.update(`${relative(root, path)} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/** Removes what an earlier build made from files that no longer exist: it would still be importable. */
function removeOrphans(root, sources) {
  const expected = new Set();
  for (const source of sources) {
    const stem = relative(join(root, 'src'), source).slice(0, -'.ts'.length);
    for (const ending of PRODUCTS) expected.add(stem + ending);
  }
  const dist = join(root, 'dist');
  for (const path of filesBelow(dist)) {
    if (!expected.has(relative(dist, path))) rmSync(path);
  }
}

function filesBelow(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = directory + sep + entry.name;
      return entry.isDirectory() ? filesBelow(path) : [path];
    });
}
