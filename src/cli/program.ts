/** The command line: global options, help, and the frame that every command's action runs in. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { Action } from './action.ts';
import { addExportCommand } from './export.ts';
import { UsageError } from './failure.ts';
import { addImportCommand } from './import.ts';
import { addReadCommands } from './reads.ts';
import type { Terminal } from './terminal.ts';
import { addUpdateCommands } from './updates.ts';

const HELP = `
Examples:
  tallyd serve --data ./data            start a server (tallyd serve --help)
  tallyd incr likes:42                  add 1, print the new count
  tallyd incr likes:42 -5               subtract 5
  tallyd get likes:42                   print the count
  tallyd list 'likes:*' | sort -rn      list by pattern
  zcat events.ndjson.gz | tallyd import -
  tallyd export - | gzip > counters.ndjson.gz

Environment: TALLYD_URL, TALLYD_SECRET, TALLYD_SECRET_FILE, NO_COLOR.
Exit codes: 0 done, 1 refused (nothing changed), 2 wrong usage, 3 outcome unknown, 4 server unreachable.`;

/** Builds the command line. @param onExit receives the exit code of the command that ran. */
export function programOf(terminal: Terminal, onExit: (code: number) => void): Command {
  const program = new Command('tallyd')
    .description('Counts exactly, and forgets nothing. These commands talk to a running server.')
    .version(versionOf(), '-V, --version')
    .option('--url <url>', "the server's HTTP address (default: TALLYD_URL, or http://127.0.0.1:7070)")
    .option('--secret-file <file>', "file with the server's secret (default: TALLYD_SECRET, TALLYD_SECRET_FILE)")
    .option(
      '--timeout <seconds>',
      'time limit of each request with all its retries (default: 10; import, snapshot: 60)',
    )
    .option('--json', 'print results and errors as JSON, one object a line')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.world.stdout.write(text),
      writeErr: (text) => terminal.world.stderr.write(text),
      outputError: (text) => {
        const sentence = text
          .trim()
          .replace(/^error: /, '')
          .replace('\n', ' ');
        terminal.complain(`${sentence}; see --help`, { code: 'usage', detail: sentence });
      },
    })
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', HELP);

  const action: Action = (work) =>
    async function (this: Command, ...given: unknown[]): Promise<void> {
      // After the arguments commander passes the options and the command itself.
      onExit(await work(terminal, this, ...(given.slice(0, -2) as never[])));
    };
  addUpdateCommands(program, action);
  addReadCommands(program, action);
  addImportCommand(program, action);
  addExportCommand(program, action);
  addServerSide(program, action, 'serve', 'start a server: tallyd serve --help');
  addServerSide(program, action, 'verify', 'check a data directory: tallyd verify DIR');
  addServerSide(program, action, 'backup', 'copy a data directory: tallyd backup DIR TARGET');
  addServerSide(program, action, 'node', 'list or retire the nodes that share a store: tallyd node list');
  return program;
}

/** Commands that need the engine: bin/tallyd.js hands them to the server when they come first. */
function addServerSide(program: Command, action: Action, name: string, description: string): void {
  program
    .command(`${name} [arguments...]`)
    .description(description)
    .allowUnknownOption()
    .helpOption(false)
    .action(
      action(async () => {
        throw new UsageError(`'${name}' must be the first word of the command line: tallyd ${name} ...`);
      }),
    );
}

function versionOf(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
