// One installation or build at a time, across processes: a file that names its owner, made by link() so that it never
// exists without its content. An owner that is gone leaves it behind; whoever finds that out renames it away first,
// and looks again at what it got, because someone else may have been quicker.

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from './run.mjs';

const WAIT_MS = 200;
const WAIT_MS_MAX = 15 * 60_000;

/** Runs `work` while holding the lock `path`. */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  let held = false;
  const drop = () => {
    if (held) rmSync(path, { force: true });
    rmSync(mine, { force: true });
  };
  process.on('exit', drop);
  try {
    await acquire(path, mine);
    held = true;
    return await work();
  } finally {
    process.off('exit', drop);
    drop();
  }
}

async function acquire(path, mine) {
  const deadline = Date.now() + WAIT_MS_MAX;
  let told = false;
  while (!tryLink(mine, path)) {
    const owner = read(path);
    if (owner === undefined) continue;
    if (!isAlive(owner)) {
      takeAway(path, owner);
      continue;
    }
    if (!told) process.stderr.write(`waiting for process ${owner}, which is installing or building here\n`);
    told = true;
    if (Date.now() > deadline) throw new Failure(`process ${owner} still holds ${path}: stop it, or remove the file`);
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
}

function tryLink(mine, path) {
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
}

function takeAway(path, owner) {
  const away = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, away);
    if (read(away) !== owner) tryLink(away, path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  rmSync(away, { force: true });
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
