// Compiles src to dist when dist is not the product of exactly these sources. Compares content, not times: a checkout,
// a copy or a branch switch moves times without meaning anything.
//
// src/client is a package of its own, @tallyd/client. What the compiler makes of it moves there, and dist/client passes
// on what that package exports, so that a program which has both has each class once.

import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, sep } from 'node:path';
import { Failure, run } from './run.mjs';

/** Builds if needed. `node` runs the compiler. Returns whether it did. */
export async function build(root, node) {
  const dist = join(root, 'dist');
  const client = join(root, 'packages/client');
  const stamp = join(dist, '.build-stamp');
  const wanted = sourcesHash(root);
  if (existsSync(stamp) && existsSync(join(client, 'dist')) && readFileSync(stamp, 'utf8') === wanted) return false;
  process.stderr.write('building ...\n');
  for (const old of [dist, join(client, 'dist')]) rmSync(old, { recursive: true, force: true });
  const code = await run(node, [tsc(root), '-p', 'tsconfig.json'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (code !== 0) throw new Failure('the build failed: see the messages above');
  moveClient(dist, join(client, 'dist'));
  for (const types of [join(dist, 'types'), join(client, 'dist/types')]) declareForBoth(types);
  copyFileSync(join(root, 'LICENSE'), join(client, 'LICENSE'));
  writeFileSync(stamp, wanted);
  return true;
}

function moveClient(from, to) {
  mkdirSync(to);
  renameSync(join(from, 'types/client'), join(to, 'types'));
  mkdirSync(join(from, 'types/client'));
  for (const file of readdirSync(join(from, 'client'))) renameSync(join(from, 'client', file), join(to, file));
  for (const file of ['client/client.js', 'types/client/client.d.ts'])
    writeFileSync(join(from, file), "export * from '@tallyd/client';\n");
}

/**
 * TypeScript lets a CommonJS module import only declarations of CommonJS under `node16`, and an ES module both. Node
 * itself loads our ES modules into either, and without default exports there is no difference.
 */
function declareForBoth(types) {
  writeFileSync(join(types, 'package.json'), '{ "type": "commonjs" }\n');
}

/** The compiler's entry, to be run by the pinned Node. */
export function tsc(root) {
  return join(root, 'node_modules/typescript/bin/tsc');
}

function sourcesHash(root) {
  const hash = createHash('sha256');
  const sources = filesBelow(join(root, 'src')).filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'));
  const tools = ['tsconfig.json', 'scripts/build.mjs', 'node_modules/typescript/package.json'];
  for (const path of [...tools.map((tool) => join(root, tool)), ...sources]) {
    const content = readFileSync(path);
    hash.update(`${relative(root, path)} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

function filesBelow(directory) {
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = directory + sep + entry.name;
      return entry.isDirectory() ? filesBelow(path) : [path];
    });
}
