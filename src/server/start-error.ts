import { fileTrouble } from '../std/file-trouble.ts';

/** Exit codes of the server's commands; docs/operations.md lists them for operators. */
export const ExitCode = {
  done: 0,
  /** The start or the stop failed: port taken, directory in use, damage, not everything finished in time. */
  failed: 1,
  /** A flag, a variable or the config file is wrong; nothing was touched. */
  usage: 2,
  /** The program has a bug (an unhandled exception); a restart recovers as after a crash. */
  internal: 70,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Why a start was refused, as one sentence that says what to do. Shown without a stack trace. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly exitCode: ExitCode;

  constructor(sentence: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? ExitCode.failed;
  }
}

/** The system's error code (`ENOENT`, `EADDRINUSE`, ...) of something caught, or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** What was caught, in words. */
export function reasonOf(error: unknown): string {
  if (systemCode(error) !== undefined) return fileTrouble(error);
  return error instanceof Error ? error.message : String(error);
}

/** The check that `bin/tallyd.js` makes before it loads anything. @throws StartError if Node is too old */
export function checkNode(version: string): void {
  const [major, minor] = version.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 12)) return;
  throw new StartError(`node ${version} is too old: install node 22.12 or newer`);
}
