/**
 * How a command fails: one sentence or one JSON object on stderr, and the exit code by what the caller may conclude.
 */
import { CommanderError } from 'commander';
import { RefusedError, UnknownOutcomeError } from '../client/client.ts';
import { fileTrouble } from '../std/file-trouble.ts';
import { OutputError, type Terminal } from './terminal.ts';

/** Exit codes, documented in docs/cli.md. */
export const Exit = {
  done: 0,
  /** Nothing was changed by what failed; the code is on stderr. Also: a file or the output failed. */
  refused: 1,
  usage: 2,
  /** The update may or may not count. */
  unknown: 3,
  /** No connection, or no answer to a read in time; nothing was changed. */
  unreachable: 4,
  /** A bug in this program. */
  internal: 70,
  /** Ctrl-C, as a shell has it. */
  interrupted: 130,
} as const;

/** The command line is invalid. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Work on a file or stream failed; `code` says at what, as in `file_unreadable`, `malformed_line`. */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly code: string;

  constructor(code: string, sentence: string, cause?: unknown) {
    super(sentence, { cause });
    this.code = code;
  }
}

/** Runs an operation on an output file. @throws FileError for any error. */
export async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new FileError('file_unwritable', `cannot write ${path}: ${fileTrouble(error)}`, error);
  }
}

/** The command line's terms for the server's HTTP terms. */
const CLI_WORDS: readonly (readonly [string, string])[] = [
  ['pass saturate', 'pass --saturate'],
  ['an Idempotency-Key', 'a --key'],
  ['Idempotency-Key', '--key'],
  ['send it as "Authorization: Bearer SECRET"', 'name its file with --secret-file, or set TALLYD_SECRET'],
];

/** The server's message, in the terms of the command line. */
export function inCliWords(detail: string): string {
  return CLI_WORDS.reduce((text, [there, here]) => text.replace(there, here), detail);
}

/** Reports the failure. @returns the exit code. */
export function report(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) {
    // Commander has already reported it; help and version are not failures.
    return error.exitCode === 0 ? Exit.done : Exit.usage;
  }
  if (error instanceof UsageError) {
    terminal.complain(`${error.message}; see --help`, { code: 'usage', detail: error.message });
    return Exit.usage;
  }
  if (error instanceof RefusedError) {
    const { code, status, index, value, ttlSeconds } = error;
    const detail = inCliWords(error.detail);
    const left = ttlSeconds === undefined ? '' : `, and expires in ${ttlSeconds} s`;
    const sentence = `${code}: ${detail}${value === undefined ? '' : `; the count is ${value}${left}`}`;
    terminal.complain(sentence, { outcome: 'refused', code, detail, status, index, value, ttl: ttlSeconds });
    return code === 'unreachable' || code === 'timeout' ? Exit.unreachable : Exit.refused;
  }
  if (error instanceof UnknownOutcomeError) {
    const { code, key } = error;
    const detail = inCliWords(error.detail);
    const sentence = `${code}: ${detail}; it may or may not count (idempotency key ${key})`;
    terminal.complain(sentence, { outcome: 'unknown', code, detail, key });
    return Exit.unknown;
  }
  if (error instanceof FileError || error instanceof OutputError) {
    const code = error instanceof FileError ? error.code : 'output_failed';
    terminal.complain(`${code}: ${error.message}`, { outcome: 'refused', code, detail: error.message });
    return Exit.refused;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  terminal.complain(`internal error, please report it: ${text}`, { code: 'internal', detail: text });
  return Exit.internal;
}
