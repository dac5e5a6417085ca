/** What `npm run bench -- ...` takes. */
import { parseArgs } from 'node:util';
import type { Row } from './row.ts';

export interface BenchOptions {
  readonly rounds: number;
  /** How often a row may repeat a round that other processes disturbed. */
  readonly retries: number;
  readonly isQuick: boolean;
  readonly isLarge: boolean;
  /** Parts of row names; undefined: all. */
  readonly patterns: readonly string[] | undefined;
  readonly seed: number;
  /** Where reports go, relative to where it is run; undefined: docs/benchmarks for a whole table, otherwise nowhere. */
  readonly output: string | undefined;
  /** Where the CPU profiles of Tallyd go; undefined: it runs without the profiler. */
  readonly profile: string | undefined;
}

export const HELP = `npm run bench -- [options]

  --rounds N       rounds of every row, the servers taking turns (default 3)
  --retries N      a round in which other processes took over a tenth of a core is measured again, at most N times
                   for each row (default 0)
  --rows PATTERN   only the row with this name, or all whose names contain it; several separated by commas
  --quick          one short round with a tenth of the counters: does it work? Not for numbers.
  --large          the rows with 100 M counters and with 30 minutes, and only these
  --seed N         of the random names (default: the time)
  --output DIR     write the report there (default docs/benchmarks, when the whole table was run)
  --profile DIR    write CPU profiles of Tallyd there (they cost speed: not for numbers)
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
  retries: { type: 'string' },
  rows: { type: 'string' },
  quick: { type: 'boolean', default: false },
  large: { type: 'boolean', default: false },
  seed: { type: 'string' },
  output: { type: 'string' },
  profile: { type: 'string' },
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
    retries: wholeNumber('--retries', values.retries ?? '0', 0),
    isQuick: values.quick,
    isLarge: values.large,
    patterns: values.rows?.split(','),
    seed: values.seed === undefined ? Date.now() % 2 ** 31 : wholeNumber('--seed', values.seed),
    output: values.output,
    profile: values.profile,
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
  const candidates = rows.filter((row) => (row.isLarge === true) === isLarge);
  const matches = (pattern: string): Row[] => {
    const exact = candidates.filter(({ name }) => name === pattern);
    return exact.length > 0 ? exact : candidates.filter(({ name }) => name.includes(pattern));
  };
  const wanted = patterns?.flatMap(matches);
  const selected = candidates.filter((row) => wanted === undefined || wanted.includes(row));
  if (selected.length === 0)
    throw new UsageError(`no ${isLarge ? 'large ' : ''}row has such a name: --list shows them`);
  return selected;
}

function wholeNumber(option: string, text: string, least = 1): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < least)
    throw new UsageError(`${option} takes a whole number, not '${text}'`);
  return number;
}
