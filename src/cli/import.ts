/**
 * `tallyd import`: sends events to a server, chunk by chunk, so that importing the same content again counts nothing
 * twice. Chunks are sent one after another, because bounds and ids make their order matter. The next one is read and
 * parsed while the previous one is being sent.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Command } from 'commander';
import { RefusedError, type TallydClient } from '../client/client.ts';
import type { Action } from './action.ts';
import { clientOf } from './connection.ts';
import { Exit, FileError, UsageError, writing } from './failure.ts';
import { chunksOf, type ImportChunk, type ImportPart } from './import-chunks.ts';
import { type Content, openContent } from './import-content.ts';
import { type Line, MalformedLine } from './import-lines.ts';
import { ImportProgress } from './import-progress.ts';
import { ImportSummary } from './import-summary.ts';
import type { Terminal } from './terminal.ts';

/** Long enough for a server to be restarted meanwhile. */
const CHUNK_TIMEOUT_MS = 60_000;
/** A server that never answered is more likely a wrong address than a restart. */
const FIRST_CONTACT_TIMEOUT_MS = 3_000;
const NEWLINE = Buffer.from('\n');
/** An event's id is older than what the server remembers, or from the future. */
const TIMED = new Set(['idempotency_expired', 'idempotency_from_future']);

interface ImportFlags {
  readonly again?: boolean;
  readonly againAs?: string;
  /** False with --no-ids. */
  readonly ids: boolean;
  readonly dryRun?: boolean;
  readonly refused?: string;
  /** A given time limit also applies to the first connection. */
  readonly timeout?: string;
}

/** Refusals that the same command meets again. */
const FINAL: ReadonlySet<string> = new Set(['import_overlaps', 'needs_authority']);

const HELP = `
Each line is one event: {"name": "likes:42", "by": 1, "at": 1700000000, "id": "event-7"}; at (Unix seconds) and id are
optional. What was imported once is known for good by its content: after an interruption run the same command again.

Examples:
  tallyd import events.ndjson.gz
  zcat events.ndjson.gz | tallyd import -
  tallyd import events.ndjson --refused refused.ndjson
  tallyd import daily.ndjson --again     count equal content once more`;

export function addImportCommand(program: Command, action: Action): void {
  program
    .command('import <file>')
    .description("count the events of an NDJSON file, gzipped or not; '-' reads stdin")
    .option('--again', 'count the content once more, though it was imported before')
    .option('--again-as <salt>', 'go on with an interrupted --again, under the salt that it printed')
    .option('--no-ids', "leave out the events' ids, so that equal ids count each time")
    .option('--refused <file>', 'append the lines that the server refused to this file')
    .option('--dry-run', 'read and check everything, send nothing')
    .addHelpText('after', HELP)
    .action(
      action(async (terminal, command, file: string) => {
        const flags = command.optsWithGlobals<ImportFlags>();
        const salt = saltOf(flags);
        const client = clientOf(command, terminal, CHUNK_TIMEOUT_MS);
        const { refused } = flags;
        if (refused !== undefined && resolve(refused) === resolve(file)) {
          throw new UsageError('--refused must be another file than the one that is imported');
        }
        const refusedLines = refused === undefined ? undefined : await writing(refused, () => open(refused, 'a'));
        const content = await openContent(file, terminal.world);
        return new Import(terminal, client, content, flags, salt, refusedLines).run();
      }),
    );
}

function saltOf({ again, againAs }: ImportFlags): string | undefined {
  if (againAs === undefined) return again === true ? randomBytes(8).toString('hex') : undefined;
  if (/^[0-9a-f]{16}$/.test(againAs)) return againAs;
  throw new UsageError('--again-as takes the 16 hex digits that the interrupted import printed');
}

/** A promise whose failure is handled where it is awaited, which may be after it has failed. */
function awaitedLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {
    // Thrown by the await.
  });
  return promise;
}

class Import {
  readonly #terminal: Terminal;
  readonly #client: TallydClient;
  readonly #content: Content;
  readonly #flags: ImportFlags;
  readonly #salt: string | undefined;
  readonly #refusedLines: FileHandle | undefined;
  readonly #summary = new ImportSummary();
  readonly #progress = new ImportProgress();

  constructor(
    terminal: Terminal,
    client: TallydClient,
    content: Content,
    flags: ImportFlags,
    salt: string | undefined,
    refusedLines: FileHandle | undefined,
  ) {
    this.#terminal = terminal;
    this.#client = client;
    this.#content = content;
    this.#flags = flags;
    this.#salt = salt;
    this.#refusedLines = refusedLines;
  }

  /** @returns the exit code. */
  async run(): Promise<number> {
    const { again, dryRun } = this.#flags;
    if (again === true && dryRun !== true && this.#salt !== undefined) {
      this.#terminal.hint(`if this is interrupted, go on with --again-as ${this.#salt}`, { againAs: this.#salt });
    }
    this.#progress.start(this.#terminal, this.#content);
    let isComplete = false;
    if (dryRun !== true) process.once('SIGINT', this.#interrupted);
    try {
      await this.#sendAll();
      isComplete = true;
    } catch (error) {
      throw this.#explained(error);
    } finally {
      process.off('SIGINT', this.#interrupted);
      this.#progress.stop();
      this.#content.close();
      await this.#refusedLines?.close();
      await this.#conclude(isComplete);
    }
    return this.#summary.refused > 0 ? Exit.refused : Exit.done;
  }

  /** Ctrl-C: ends at once, because the next run finds where this one stopped. */
  readonly #interrupted = (): void => {
    this.#progress.stop();
    this.#terminal.hint(`interrupted after ${this.#summary.lines} lines; ${this.#goOn}`, {});
    process.exit(Exit.interrupted);
  };

  get #goOn(): string {
    const way =
      this.#flags.again === true ? `with --again-as ${this.#salt} instead of --again` : 'with the same command';
    return `go on ${way}: what was imported is not counted again`;
  }

  async #sendAll(): Promise<void> {
    const chunks = chunksOf(this.#content.blocks, { salt: this.#salt, withIds: this.#flags.ids });
    let next = chunks.next();
    const { done: isEmpty } = await next;
    if (isEmpty !== true && this.#flags.dryRun !== true && this.#flags.timeout === undefined) await this.#reachServer();
    for (let { done, value } = await next; done !== true; { done, value } = await next) {
      const sending = awaitedLater(this.#send(value));
      // Let the request go out before parsing takes the thread.
      await setImmediate();
      next = awaitedLater(chunks.next());
      await sending;
      this.#progress.update(this.#content, this.#summary.lines);
    }
  }

  /** @throws RefusedError if nothing listens. The chunks handle and report all other errors. */
  async #reachServer(): Promise<void> {
    try {
      await this.#client.info({ timeoutMs: FIRST_CONTACT_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof RefusedError && error.code === 'unreachable') throw error;
    }
  }

  async #send(chunk: ImportChunk): Promise<void> {
    if (this.#flags.dryRun === true) return this.#summary.addDry(chunk);
    let shared = 0;
    for (let done = 0; done < chunk.lines.length; ) {
      const part = chunk.partAfter(done, shared);
      try {
        const result = await this.#client.importChunk(part.id, part.updates, {
          after: part.after,
          places: part.places,
        });
        done += part.lines.length;
        for (const i of this.#summary.add(part, result, this.#content.source)) await this.#keepRefused(part.lines[i]);
      } catch (error) {
        if (!(error instanceof RefusedError) || error.code !== 'import_overlaps') throw error;
        if (error.overlap === undefined) throw this.#diverges(part, error);
        const place = chunk.placeOf(error.overlap.replace('>', ''));
        if (error.overlap.startsWith('>') && chunk.isOtherAfter(place)) {
          shared = place;
          continue;
        }
        // An earlier import of this content, when it was shorter, ended there.
        this.#summary.addKnown(place - done);
        done = place;
      }
    }
  }

  #diverges({ lines }: ImportPart, cause: unknown): FileError {
    const place = `${this.#content.source}:${lines[0]?.number ?? 0}`;
    const what = 'more or other lines were imported after the same beginning; nothing was counted from here on';
    const way =
      'a shorter or older copy is imported already; import new lines by themselves, or count everything once more with --again';
    return new FileError('import_overlaps', `${place}: ${what}: ${way}`, cause);
  }

  async #keepRefused(line: Line | undefined): Promise<void> {
    const { refused = '' } = this.#flags;
    if (line === undefined) return;
    await writing(refused, async () => this.#refusedLines?.appendFile(Buffer.concat([line.bytes, NEWLINE])));
  }

  /** Reports what was done, even if not everything could be. */
  async #conclude(isComplete: boolean): Promise<void> {
    const { alreadyImported, reasons, refused } = this.#summary;
    for (const reason of reasons) this.#terminal.hint(`refused: ${reason}`, { refused: reason });
    if (refused > reasons.length) {
      const others = refused - reasons.length;
      this.#terminal.hint(`refused: ${others} more; --refused FILE keeps such lines`, { refusedMore: others });
    }
    if (alreadyImported > 0 && isComplete) {
      this.#terminal.hint(
        `${alreadyImported} lines had been imported before and were not counted again (see --again)`,
        {},
      );
    }
    await this.#terminal.write(this.#terminal.json ? this.#summary.json(isComplete) : this.#summary.text());
  }

  /** The error, with its place and how to continue. */
  #explained(error: unknown): unknown {
    const goOn = this.#goOn;
    if (error instanceof MalformedLine) {
      const place = `${this.#content.source}:${error.line}`;
      const { lines } = this.#summary;
      const before = lines === 0 ? 'no line was imported' : `the first ${lines} lines are imported`;
      const state = this.#flags.dryRun === true ? '' : `; ${before}; mend it and ${goOn}`;
      return new FileError('malformed_line', `${place}: ${error.message}${state}`, error);
    }
    if (error instanceof RefusedError && TIMED.has(error.code)) {
      const place = `${this.#content.source}, after line ${this.#summary.lines}`;
      const what = 'an id carries a time that the server cannot judge; nothing of these lines was counted';
      return new FileError(
        error.code,
        `${place}: ${what}: if they were not counted before, ${goOn}; add --no-ids`,
        error,
      );
    }
    const isFinal = (error instanceof RefusedError || error instanceof FileError) && FINAL.has(error.code);
    const way = isFinal ? '' : `; ${goOn}`;
    if (this.#flags.dryRun !== true) this.#terminal.hint(`stopped after ${this.#summary.lines} lines${way}`, {});
    return error;
  }
}
