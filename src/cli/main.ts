/** The CLI's entry: bin/tallyd.js calls `main` for every command but those of the server. */
import { report } from './failure.ts';
import { programOf } from './program.ts';
import { Terminal, type World } from './terminal.ts';

/**
 * Runs one command line.
 * @param argv what stands behind `tallyd`.
 * @returns the exit code. Never ends the process itself, which would cut off what is still being written.
 */
export async function main(argv: string[], world: World = processWorld()): Promise<number> {
  const terminal = new Terminal(world);
  // Before parsing, so that mistakes on the command line are told as JSON too.
  const end = argv.indexOf('--');
  terminal.json = argv.slice(0, end === -1 ? undefined : end).includes('--json');
  let exitCode = 0;
  try {
    const program = programOf(terminal, (code) => {
      exitCode = code;
    });
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    exitCode = report(error, terminal);
  }
  return exitCode;
}

function processWorld(): World {
  return {
    // Only when asked for: whoever touches stdin keeps the process alive until it ends.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
  };
}
