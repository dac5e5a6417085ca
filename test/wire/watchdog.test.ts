import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// As it is shipped: the thread has too little memory to read TypeScript.
const WATCHDOG = fileURLToPath(new URL('../../dist/host/node/watchdog.js', import.meta.url));
const LIMIT_MS = 300;
/** Then it is not going to happen, and the process must not stay. */
const GUARD_MS = 20_000;

/** A process with a watchdog, which runs the statements when it is ready. */
async function run(statements: string, meddle: (kill: (signal: NodeJS.Signals) => void) => Promise<void>) {
  const program = `
    const { Watchdog } = await import(${JSON.stringify(WATCHDOG)});
    const watchdog = new Watchdog(${LIMIT_MS});
    setTimeout(async () => { ${statements} }, 300);
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { env: {} });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  await once(child.stdout, 'data');
  await meddle((signal) => void child.kill(signal));
  const guard = setTimeout(() => child.kill('SIGKILL'), GUARD_MS);
  const [code, signal] = await exited;
  clearTimeout(guard);
  return { code, signal, stderr };
}

const DONE = 'await watchdog.stop(); process.exit(7);';

describe('the watchdog', () => {
  it('ends a process whose loop spins', async () => {
    const { signal, stderr } = await run('for (;;);', async () => undefined);
    expect([signal, stderr]).toEqual(['SIGKILL', expect.stringContaining('the event loop has stood')]);
  });

  it('lets a process live that was stopped, or waits without using the processor', async () => {
    const wait = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${3 * LIMIT_MS});`;
    const stopped = async (kill: (signal: NodeJS.Signals) => void): Promise<void> => {
      kill('SIGSTOP');
      await sleep(3 * LIMIT_MS);
      kill('SIGCONT');
    };
    expect((await run(`${wait} ${DONE}`, stopped)).code).toBe(7);
  });
});
