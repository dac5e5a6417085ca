/** `tallyd export`: every counter as one line that `tallyd import` takes, streamed page by page. */
import { open, rename, rm, stat } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Entry } from '../client/client.ts';
import type { Action } from './action.ts';
import { clientOf } from './connection.ts';
import { Exit, writing } from './failure.ts';
import { PAGE_ENTRIES, tellOnlyHeld } from './reads.ts';
import { jsonOf, type Terminal } from './terminal.ts';

/** The target of an export; `write` returns whether it is still read. */
type Write = (text: string) => Promise<boolean>;

export function addExportCommand(program: Command, action: Action): void {
  program
    .command('export [file]')
    .description("write all counters as NDJSON that import takes, to a file or to stdout ('-', the default)")
    .option('--match <pattern>', 'only the counters that match, as in list')
    .addHelpText(
      'after',
      '\nNames and values are kept, deadlines are not. Counters that change meanwhile have one of their values.\n' +
        "\nExamples:\n  tallyd export counters.ndjson\n  tallyd export - --match 'likes:*' | gzip > likes.ndjson.gz\n" +
        '  tallyd export | tallyd import - --url http://other:7070',
    )
    .action(
      action(async (terminal, command, file: string = '-') => {
        const { match } = command.opts<{ match?: string }>();
        const onOnlyHeld = (): void => tellOnlyHeld(terminal);
        const entries = clientOf(command, terminal).list({ match, pageSize: PAGE_ENTRIES, onOnlyHeld });
        if (file !== '-') {
          const count = await exportToFile(entries, file);
          await terminal.result(`${count} counters`, { counters: count, file });
          return Exit.done;
        }
        await exportTo(entries, (text) => writtenTo(terminal, text));
        return Exit.done;
      }),
    );
}

async function writtenTo(terminal: Terminal, text: string): Promise<boolean> {
  await terminal.write(text);
  return !terminal.closed;
}

/** @returns how many counters were written. */
async function exportTo(entries: AsyncIterable<Entry>, write: Write): Promise<number> {
  let lines: string[] = [];
  let count = 0;
  for await (const { name, value } of entries) {
    lines.push(`${jsonOf({ name, by: value })}\n`);
    count += 1;
    if (lines.length < PAGE_ENTRIES) continue;
    if (!(await write(lines.join('')))) return count;
    lines = [];
  }
  await write(lines.join(''));
  return count;
}

/** The file gets its name only when it is complete: a partial export must not look like a whole one. */
async function exportToFile(entries: AsyncIterable<Entry>, path: string): Promise<number> {
  const isPlain = await writing(path, () => isFileOrAbsent(path));
  // A device or a named pipe must be written directly.
  const target = isPlain ? `${path}.partial` : path;
  const file = await writing(path, () => open(target, 'w'));
  try {
    const count = await exportTo(entries, async (text) => {
      await writing(path, () => file.writeFile(text));
      return true;
    });
    if (isPlain) await writing(path, () => file.sync());
    await file.close();
    if (isPlain) await writing(path, () => rename(target, path));
    return count;
  } catch (error) {
    await file.close();
    if (isPlain) await rm(target, { force: true });
    throw error;
  }
}

async function isFileOrAbsent(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}
