/**
 * `tallyd serve`, `verify`, `backup` and `node`: the commands that open a data directory or a store themselves.
 *
 * SIGTERM or SIGINT requests a stop: everything accepted is finished and synced, exit code 0, within ten seconds;
 * otherwise exit code 1. An unexpected error ends the process at once: recovery is then the same as after `kill -9`,
 * which is tested; cleaning up in a broken process is not.
 */
import { isatty } from 'node:tty';
import closeWithGrace from 'close-with-grace';
import { Command, CommanderError, Option } from 'commander';
import type { Logger } from 'pino';
import { backupCommand } from './backup.ts';
import { type Flags, loadConfig, type ServerConfig } from './config.ts';
import { openLog } from './log.ts';
import { type NodeOptions, nodeList, nodeRetire } from './node-command.ts';
import { Server } from './serve.ts';
import { SETTINGS, variableOf } from './settings.ts';
import { ExitCode, StartError, systemCode } from './start-error.ts';
import { verifyCommand } from './verify.ts';

/** Below the promised ten seconds, so that the log line is still written. */
const STOP_TIMEOUT_MS = 9_500;
const KEEP_ALIVE_MS = 60_000;
/** These signals do not request a stop; the system's default is better. */
const LEFT_ALONE = ['SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGUSR2'] as const;
const HANDLED_HERE = ['uncaughtException', 'unhandledRejection', 'beforeExit', 'SIGHUP'] as const;

/**
 * Runs `serve`, `verify`, `backup` or `node`.
 * @param argv without the program's own name
 * @returns the exit code; `serve` ends the process itself when it was asked to stop
 */
export async function main(argv: string[]): Promise<number> {
  let exitCode: ExitCode = ExitCode.done;
  process.stdout.on('error', tellOutputError);
  const program = commandLine((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    // Its message was already printed.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
    if (!(error instanceof StartError)) throw error;
    process.stderr.write(`tallyd: ${error.message}\n`);
    return error.exitCode;
  }
  return exitCode;
}

/** A reader that leaves early, such as `head`, is no error. */
function tellOutputError(error: Error): void {
  if (systemCode(error) === 'EPIPE') return;
  process.stderr.write(`tallyd: cannot write the output: ${error.message}\n`);
  process.exitCode = ExitCode.failed;
}

function commandLine(setExitCode: (code: ExitCode) => void): Command {
  const program = new Command('tallyd');
  program.exitOverride().configureOutput({
    outputError: (text, write) => write(text.replace(/^error: /, 'tallyd: ')),
  });
  const serve = program
    .command('serve')
    .summary('run the server')
    .description('Runs the server on a data directory until SIGTERM or SIGINT.')
    .option('--config <file>', 'read settings and policies from this YAML file (TALLYD_CONFIG)')
    // Accepted by the parser so that its refusal can name the replacement.
    .addOption(new Option('--secret [secret]').hideHelp())
    .addHelpText('after', SERVE_EXAMPLES);
  for (const { key, argument, meaning, default: value, otherwise = value } of SETTINGS) {
    const flag = argument === undefined ? `--${key}` : `--${key} ${argument}`;
    const origin = otherwise === undefined ? variableOf(key) : `${variableOf(key)}, default ${otherwise}`;
    // Without commander's own default, because precedence depends on whether a flag was given.
    serve.addOption(new Option(flag, `${meaning} (${origin})`));
  }
  serve.action(async (flags: Readonly<Record<string, unknown>>) => {
    await runServer(await loadConfig(byKey(flags), process.env));
  });
  program
    .command('verify')
    .summary('read a data directory and say what is whole')
    .description('Reads every file of a data directory, says what is whole and what is not, and changes nothing.')
    .argument('<dir>', 'the data directory')
    .option('--json', 'answer as JSON')
    .addHelpText('after', VERIFY_EXAMPLES)
    .action(async (directory: string, options: { readonly json?: boolean }) => {
      setExitCode(await verifyCommand(directory, options.json === true));
    });
  program
    .command('backup')
    .summary('copy a data directory, also while a server uses it')
    .description(
      'Copies a data directory, also while a server uses it: everything that was acknowledged before the command began is in the copy.',
    )
    .argument('<dir>', 'the data directory')
    .argument('<target>', 'where the copy is to be; nothing is there yet')
    .option('--json', 'answer as JSON')
    .addHelpText('after', BACKUP_EXAMPLES)
    .action(async (directory: string, target: string, options: { readonly json?: boolean }) => {
      setExitCode(await backupCommand(directory, target, options.json === true));
    });
  nodeCommands(program, setExitCode);
  return program;
}

function nodeCommands(program: Command, setExitCode: (code: ExitCode) => void): void {
  const node = program
    .command('node')
    .summary('the nodes that share a store')
    .description(
      'Looks at the replicas of a region in the store that they share, and retires those that will not come back.',
    )
    .addHelpText('after', NODE_EXAMPLES);
  const withStore = (command: Command): Command =>
    command.option('--store <url>', 'the store (TALLYD_STORE)').option('--json', 'answer as JSON, one object a line');
  withStore(node.command('list').description('Lists the replicas, those that renewed their lease last first.'))
    .option('--all', 'also those whose counts are folded')
    .action(async (options: NodeOptions) => setExitCode(await nodeList(options)));
  withStore(node.command('retire').argument('<replica>', 'as node list shows it'))
    .description('Folds what a replica has counted whose disk is lost. Its counts stay; its slots and its lease go.')
    .action(async (replica: string, options: NodeOptions) => setExitCode(await nodeRetire(replica, options)));
}

/** Commander names options in camel case, the settings table as they are written. */
function byKey(flags: Readonly<Record<string, unknown>>): Flags {
  const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(flags).map(([name, value]) => [kebab(name), value]));
}

/** Starts the server; after its ready line the process runs until a stop is requested. */
async function runServer(config: ServerConfig): Promise<void> {
  const isTerminal = isatty(2);
  const hasColors = isTerminal && !process.env['NO_COLOR'];
  const log = openLog({ level: config.logLevel, isTerminal, hasColors });
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ err: error, origin }, 'unforeseen: ending at once, the next start recovers');
    process.exit(ExitCode.internal);
  });
  // A terminal that closes, or a supervisor that rotates logs: neither is a reason to stop counting.
  process.on('SIGHUP', () => log.info('SIGHUP: going on; SIGTERM stops'));
  // The ready line may be unread; that is no reason to stop.
  process.stdout.off('error', tellOutputError);
  process.stdout.on('error', (error) => log.warn({ err: error }, 'the standard output is closed'));
  // The server's own timers keep no process alive, and until a door is open nothing else does.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  const starting = Server.start(config, log).finally(() => clearInterval(alive));
  const grace = stopOnSignal(starting, log);
  try {
    const server = await starting;
    process.stdout.write(`${server.readyLine}\n`);
    log.info(server.readyLine);
  } catch (error) {
    grace.uninstall();
    throw error;
  }
}

function stopOnSignal(starting: Promise<Server>, log: Logger): { uninstall(): void } {
  let server: Server | undefined;
  const options = {
    delay: STOP_TIMEOUT_MS,
    logger: { error: (reason: unknown) => log.error({ err: reason }, 'the stop failed') },
    skip: [...LEFT_ALONE, ...HANDLED_HERE],
    onSecondSignal: (signal: string) => endAtOnce(server, log, `second ${signal}: ending at once`),
    onTimeout: () => endAtOnce(server, log, 'not finished in time: ending'),
  };
  return closeWithGrace(options, async ({ signal }) => {
    const askedAtMs = performance.now();
    log.info(`${signal}: finishing what was accepted`);
    server = await starting;
    await server.stop(askedAtMs);
    log.info('stopped');
  });
}

/**
 * Logs what was not finished. If the disk has not answered, the process kills itself, because an exit would wait for
 * the thread that waits for the disk; otherwise the following exit with code 1 is enough.
 */
function endAtOnce(server: Server | undefined, log: Logger, why: string): void {
  if (server === undefined) {
    log.fatal({ phase: 'starting' }, `${why}, the next start recovers`);
    return;
  }
  const { state, failure, sequence, durableSequence } = server.info();
  const groupsNotDurable = Number(sequence - durableSequence);
  log.fatal({ phase: server.phase, state, failure, groupsNotDurable }, `${why}, the next start recovers`);
  if (groupsNotDurable > 0) process.kill(process.pid, 'SIGKILL');
}

const SERVE_EXAMPLES = `
A flag outranks its variable, the variable the config file, the file the default.

Examples:
  tallyd serve
  tallyd serve --http 127.0.0.1:8080 --resp off --data /var/lib/tallyd
  tallyd serve --config /etc/tallyd.yaml --secret-file /etc/tallyd.secret --http 0.0.0.0:7070

Exit codes: 0 stopped cleanly, 1 could not start or not finish, 2 wrong setting, 70 internal error.
`;

const BACKUP_EXAMPLES = `
Examples:
  tallyd backup ./data /backup/tallyd-2030-01-31
  tallyd serve --data /backup/tallyd-2030-01-31      restore: start on the copy, or move it into place

Exit codes: 0 the copy is whole and durable, 1 it could not be made, nothing is left of it, 2 wrong usage.
`;

const NODE_EXAMPLES = `
Examples:
  tallyd node list --store postgres://tallyd@db/tallyd
  tallyd node retire 1d5a474ebf2a84b51f35b01625baa510

Exit codes: 0 done, 1 the store or the replica says no, 2 wrong usage.
`;

const VERIFY_EXAMPLES = `
Examples:
  tallyd verify ./data
  tallyd verify --json /backup/tallyd

Exit codes: 0 everything is whole, 1 something is damaged or cannot be read, 2 wrong usage.
`;
