/** Creates a client from the options that every command has. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type Fetch, TallydClient } from '../client/client.ts';
import { fileTrouble } from '../std/file-trouble.ts';
import { durationMs } from './arguments.ts';
import { FileError, UsageError } from './failure.ts';
import type { Terminal, World } from './terminal.ts';

/** After this time a message explains the wait. */
const SILENCE_MS = 1_000;

interface ConnectionOptions {
  readonly url?: string;
  readonly secretFile?: string;
  readonly timeout?: string;
}

/**
 * @param timeoutMs the command's own default time limit.
 * @throws UsageError, FileError
 */
export function clientOf(command: Command, terminal: Terminal, timeoutMs = 10_000): TallydClient {
  const { world } = terminal;
  const options = command.optsWithGlobals<ConnectionOptions>();
  const limitMs = options.timeout === undefined ? timeoutMs : durationMs(options.timeout, '--timeout');
  // An empty variable counts as unset: that is how a shell script clears one.
  const url = options.url ?? (world.env['TALLYD_URL'] || undefined);
  const secret = secretOf(options, world);
  try {
    return new TallydClient({ url, secret, timeoutMs: limitMs, fetch: patient(world.fetch ?? fetch, terminal) });
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

/** The same; reports once that the server does not answer and that it keeps trying. */
function patient(ask: Fetch, terminal: Terminal): Fetch {
  const since = performance.now();
  let hasSaid = false;
  return async (url, init) => {
    try {
      return await ask(url, init);
    } catch (error) {
      if (!hasSaid && init.signal?.aborted !== true && performance.now() - since >= SILENCE_MS) {
        hasSaid = true;
        terminal.hint(`nobody answers at ${new URL(url).origin}; still trying (--timeout says for how long)`, {});
      }
      throw error;
    }
  };
}

function secretOf(options: ConnectionOptions, { env }: World): string | undefined {
  if (options.secretFile === undefined && env['TALLYD_SECRET']) return env['TALLYD_SECRET'];
  const secretFile = options.secretFile ?? (env['TALLYD_SECRET_FILE'] || undefined);
  if (secretFile === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(secretFile, 'utf8');
  } catch (error) {
    const what = `cannot read the secret file ${secretFile}: ${fileTrouble(error)}`;
    throw new FileError('file_unreadable', `${what}; name another with --secret-file, or set TALLYD_SECRET`, error);
  }
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw new UsageError(`the secret file ${secretFile} is empty`);
  return secret;
}
