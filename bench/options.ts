/** What `npm run bench -- ...` takes. */
import { parseArgs } from 'node:util';
import type { Row } from './row.ts';

export interface BenchOptions {
  readonly rounds: number;
  readonly isQuick: boolean;
  readonly isLarge: boolean;
  /** Parts of row names; undefined: all. */
  readonly patterns: readonly string[] | undefined;
  readonly seed: number;
  /** Where reports go, relative to where it is run; undefined: docs/benchmarks for a whole table, otherwise nowhere. */
  readonly output: string | undefined;
}

export const HELP = `npm run bench -- [options]

  --rounds N       rounds of every row, the servers taking turns (default 3)
  --rows PATTERN   only rows whose name contains PATTERN; several separated by commas
  --quick          one short round with a tenth of the counters: does it work? Not for numbers.
  --large          the rows with 100 M counters and with 30 minutes, and only these
  --seed N         of the random names (default: the time)
  --output DIR     write the report there (default docs/benchmarks, when the whole table was run)
  --list           print the rows and end
  --help
`;

const DEFAULT_ROUNDS = 3;

/** Wrong options, in a sentence for people. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const OPTIONS = {
  rounds: { type: 'string' },
  rows: { type: 'string' },
  quick: { type: 'boolean', default: false },
  large: { type: 'boolean', default: false },
  seed: { type: 'string' },
  output: { type: 'string' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** @returns a text to print instead of a run, or the options. @throws UsageError */
export function parseOptions(args: readonly string[], rows: readonly Row[]): BenchOptions | string {
  const values = parsed(args);
  if (values.help) return HELP;
  if (values.list)
    return rows.map(({ name, title, isLarge }) => `${name}\t${title}${isLarge ? ' (--large)' : ''}\n`).join('');
  return {
    rounds: values.quick ? 1 : wholeNumber('--rounds', values.rounds ?? String(DEFAULT_ROUNDS)),
    isQuick: values.quick,
    isLarge: values.large,
    patterns: values.rows?.split(','),
    seed: values.seed === undefined ? Date.now() % 2 ** 31 : wholeNumber('--seed', values.seed),
    output: values.output,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (cause) {
    throw new UsageError(`${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** The rows that the options ask for. @throws UsageError when there are none */
export function selectRows(rows: readonly Row[], { isLarge, patterns }: BenchOptions): Row[] {
  const selected = rows.filter((row) => {
    if ((row.isLarge === true) !== isLarge) return false;
    return patterns === undefined || patterns.some((pattern) => row.name.includes(pattern));
  });
  if (selected.length === 0)
    throw new UsageError(`no ${isLarge ? 'large ' : ''}row has such a name: --list shows them`);
  return selected;
}

function wholeNumber(option: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new UsageError(`${option} takes a whole number, not '${text}'`);
  return number;
}
