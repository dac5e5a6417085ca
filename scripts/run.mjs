// Runs child processes so that a signal sent to us, by a terminal or by npm, reaches the child exactly once.
//
// Ctrl-C in a terminal goes to the whole foreground group and npm forwards it as well, so a child in our group would
// get it up to three times, and a server takes the second one for "stop at once". Therefore a server gets a session
// of its own (`detached`) and repeats within a second are dropped.
//
// npm 9.6.7 to 10.2 keeps a signal that is sent to npm alone to itself; nothing here can see it. Ctrl-C works with
// these too, as does a signal to the server.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';

const REPEAT_MS = 1_000;
const PARENT_POLL_MS = 250;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** A step failed; its message is all there is to say. */
export class Failure extends Error {}

/** Resolves with the exit code of `command`, 128 + n when signal n ended it. */
export function run(command, args, { detached = false, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options, detached });
    const release = forwardSignals(child, detached);
    child.on('error', (error) => {
      release();
      reject(new Failure(`cannot run ${command}: ${error.message}`));
    });
    child.on('exit', (code, signal) => {
      const stoppedBy = release();
      if (signal !== null) resolve(128 + constants.signals[signal]);
      else if (stoppedBy !== undefined && !detached) process.exit(128 + constants.signals[stoppedBy]);
      else resolve(code);
    });
  });
}

/** Passes stop signals on until the returned function is called; that tells which one came, if any. */
function forwardSignals(child, detached) {
  const seen = new Map();
  let last;
  const pass = (signal) => {
    const now = performance.now();
    if (now - (seen.get(signal) ?? -REPEAT_MS) < REPEAT_MS) return;
    seen.set(signal, now);
    last = signal;
    child.kill(signal);
  };
  for (const signal of STOP_SIGNALS) process.on(signal, pass);
  const watch = detached ? watchParent(() => pass('SIGTERM')) : undefined;
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, pass);
    clearInterval(watch);
    return last;
  };
}

/**
 * Under npm there may be a shell between npm and us that dies of a signal without passing it on. Nobody is left to stop
 * the server then, so the loss of the parent counts as SIGTERM. Without npm, outliving a parent is `nohup`'s right.
 */
function watchParent(onLost) {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onLost();
  }, PARENT_POLL_MS);
  timer.unref();
  return timer;
}
