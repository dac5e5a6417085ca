/** The CLI's entry: bin/tallyd.js calls `main` for every command but those of the server. */
import { report } from './failure.ts';
import { programOf } from './program.ts';
import { Terminal, type World } from './terminal.ts';

/**
 * Runs one command line.
 * @param argv the arguments after `tallyd`.
 * @returns the exit code. Never ends the process itself, which would cut off pending output.
 */
export async function main(argv: string[], world: World = processWorld()): Promise<number> {
  const terminal = new Terminal(world);
  // Before parsing, so that mistakes on the command line are also reported as JSON.
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
    // Only on demand: accessing stdin keeps the process alive until stdin ends.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
  };
}
