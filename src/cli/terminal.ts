/**
 * What the CLI reads from and writes to. Results go to stdout, everything else to stderr, so that a pipe carries
 * results only. If the reader of stdout goes away (`| head`), this is a normal end: nothing is reported, and commands
 * that would write more stop.
 */
import type { Readable, Writable } from 'node:stream';
import Table from 'cli-table3';
import picocolors from 'picocolors';
import type { Fetch } from '../client/client.ts';

/** The process as a command sees it; tests pass another. */
export interface World {
  readonly stdin: Readable;
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Instead of the global one. */
  readonly fetch?: Fetch | undefined;
}

/** A value in `--json` output; a bigint becomes an integer literal, exact at any size. */
export type JsonValue = bigint | number | string | boolean | null | undefined;

export class Terminal {
  readonly world: World;
  /** Results as JSON, one object a line; errors too. */
  json = false;
  /** The reader of stdout is gone. */
  closed = false;

  constructor(world: World) {
    this.world = world;
    world.stdout.on('error', (error: NodeJS.ErrnoException) => {
      // A write's own callback reports other errors.
      if (error.code === 'EPIPE') this.closed = true;
    });
    world.stderr.on('error', () => {
      // stderr is not read, so there is nowhere left to report it.
    });
  }

  /** Whether to show tables and progress bars on stdout. */
  get isInteractive(): boolean {
    return this.world.stdout.isTTY === true && !this.json;
  }

  /**
   * Writes to stdout, and waits until it is accepted.
   * @throws OutputError if that fails for another reason than a reader that has left.
   */
  async write(text: string): Promise<void> {
    if (this.closed || text === '') return;
    const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) =>
      this.world.stdout.write(text, resolve),
    );
    if (error === null || error === undefined) return;
    this.closed = true;
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw new OutputError(error);
  }

  /** A result: plain text, or the record if JSON is requested. */
  async result(plain: string, record: Readonly<Record<string, JsonValue>>): Promise<void> {
    await this.write(`${this.json ? jsonOf(record) : plain}\n`);
  }

  /** Counters: a table for people, `VALUE<tab>NAME` lines for pipes, or JSON lines. */
  async counters(entries: readonly { readonly name: string; readonly value: bigint }[]): Promise<void> {
    if (entries.length === 0) return;
    if (this.json) {
      await this.write(entries.map(({ name, value }) => `${jsonOf({ name, value })}\n`).join(''));
    } else if (this.isInteractive) {
      await this.write(`${tableOf(entries)}\n`);
    } else {
      await this.write(entries.map(({ name, value }) => `${value}\t${shown(name)}\n`).join(''));
    }
  }

  /** A notice besides the result, on stderr; as JSON the record, unless it is empty. */
  hint(sentence: string, record: Readonly<Record<string, JsonValue>>): void {
    if (!this.json) this.#note(`tallyd: ${sentence}`);
    else if (Object.keys(record).length > 0) this.#note(jsonOf(record));
  }

  /** An error, on stderr: a sentence, or one JSON object. */
  complain(sentence: string, record: Readonly<Record<string, JsonValue>>): void {
    const red = picocolors.createColors(this.world.stderr.isTTY === true && !this.world.env['NO_COLOR']).red;
    this.#note(this.json ? jsonOf(record) : `${red('tallyd:')} ${sentence}`);
  }

  #note(line: string): void {
    this.world.stderr.write(`${line}\n`);
  }
}

/** Stdout could not be written, for another reason than that its reader has left. */
export class OutputError extends Error {
  override readonly name = 'OutputError';

  constructor(cause: Error) {
    super(`cannot write the output: ${cause.message}`, { cause });
  }
}

/** A flat JSON object with exact counts. */
export function jsonOf(record: Readonly<Record<string, JsonValue>>): string {
  const members = Object.entries(record)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${JSON.stringify(key)}:${typeof value === 'bigint' ? value : JSON.stringify(value)}`);
  return `{${members.join(',')}}`;
}

/**
 * A name as one line of text. Names can hold any character; those with control characters (which could end the line
 * or steer the terminal), and those that start with a quote, are shown as a JSON string.
 */
export function shown(name: string): string {
  return /^"|\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/u.test(name) ? escaped(name) : name;
}

function escaped(name: string): string {
  return JSON.stringify(name).replace(/\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

function tableOf(entries: readonly { readonly name: string; readonly value: bigint }[]): string {
  const table = new Table({
    head: ['value', 'name'],
    colAligns: ['right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, value } of entries) table.push([value.toString(), shown(name)]);
  return table.toString();
}
