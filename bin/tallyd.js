#!/usr/bin/env node
// Dispatches to the server or to the CLI, and loads only that one. Plain JavaScript, so that a Node that is
// too old, or a checkout that is not built yet, gets a sentence and not a stack trace.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Commands that need the engine itself; all others talk to a running server. */
const SERVER_COMMANDS = ['serve', 'verify'];

const argv = process.argv.slice(2);
const [major, minor] = process.versions.node.split('.').map(Number);
const main = SERVER_COMMANDS.includes(argv[0])
  ? new URL('../dist/server/main.js', import.meta.url)
  : new URL('../dist/cli/main.js', import.meta.url);

if (major < 22 || (major === 22 && minor < 12)) {
  fail(`node ${process.versions.node} is too old: install node 22.12 or newer, or use 'npm start' in a checkout`);
} else if (!existsSync(fileURLToPath(main))) {
  fail("not built yet: run 'npm run build'");
} else {
  const module = await import(main.href);
  const code = await module.main(argv);
  if (typeof code === 'number') process.exitCode = code;
}

function fail(reason) {
  process.stderr.write(`tallyd: ${reason}\n`);
  process.exitCode = 1;
}
