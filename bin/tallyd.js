#!/usr/bin/env node
// Dispatches to the server or to the CLI, and loads only that one. Plain JavaScript, so that a Node that is
// too old, or a checkout that is not built yet, gets a sentence and not a stack trace. In a checkout the pinned Node
// takes over from one that is too old.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { memoryEnvironment, memoryFlags, restartWithMemory } from './memory.js';

/** Commands that need the engine or the store itself; all others talk to a running server. */
const SERVER_COMMANDS = ['serve', 'verify', 'backup', 'node'];

const argv = process.argv.slice(2);
const [major, minor] = process.versions.node.split('.').map(Number);
const isServer = SERVER_COMMANDS.includes(argv[0]);
const main = isServer
  ? new URL('../dist/server/main.js', import.meta.url)
  : new URL('../dist/cli/main.js', import.meta.url);

const pinned = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
const runner = new URL('../scripts/run.mjs', import.meta.url);

// Started by the branch below or by `npm start`: without the process that whoever called us knows and can kill, this
// one ends, too.
if (process.env.TALLYD_LAUNCHED === '1' && process.channel !== undefined) {
  process.channel.unref();
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

if (major < 22 || (major === 22 && minor < 12)) {
  if (existsSync(pinned) && existsSync(runner)) {
    const { run } = await import(runner.href);
    const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
    const env = memoryEnvironment({ ...process.env, TALLYD_LAUNCHED: '1' });
    const args = [...memoryFlags, fileURLToPath(import.meta.url), ...argv];
    process.exitCode = await run(pinned, args, { stdio, env, detached: argv[0] === 'serve' });
  } else
    fail(`node ${process.versions.node} is too old: install node 22.12 or newer, or use 'npm start' in a checkout`);
} else if (!existsSync(fileURLToPath(main))) {
  fail("not built yet: run 'npm run build'");
} else {
  if (argv[0] === 'serve' || argv[0] === 'verify') restartWithMemory();
  const module = await import(main.href);
  const code = await module.main(argv);
  if (typeof code === 'number') process.exitCode = code;
}

function fail(reason) {
  process.stderr.write(`tallyd: ${reason}\n`);
  process.exitCode = 1;
}
