/**
 * What the load generator sends, made before anything is measured: a stream hands out batches of commands that are
 * already bytes. Endless streams walk round a tape of some millions of commands with random names; finite ones end.
 *
 * Every batch knows what its acknowledgement adds to the sum of all counters. That is what the stored sum is compared
 * with in the end, so it is computed here, from the very numbers that are written into the commands.
 */
import { assert, unreachable } from '../../src/std/assert.ts';
import { SeededRandom } from '../../src/std/random.ts';
import type { Protocol } from './reply-counter.ts';

/** All names are `key:` and twelve digits, 16 bytes, as redis-benchmark makes them. */
const NAME_PREFIX = 'key:';
const NAME_DIGITS = 12;
const TAPE_COMMANDS_MAX = 1 << 21;
const TAPE_BYTES_MAX = 64 * 1024 * 1024;
const FILL_PIPELINE = 512;

export type StreamSpec = TapeSpec | { readonly kind: 'ping' } | FillSpec;

/** Endless. */
export interface TapeSpec {
  readonly kind:
    | 'increment'
    | 'get'
    /** MGET of `namesEach` names. */
    | 'multi-get'
    /** Ten GET to one INCR, in random order. */
    | 'mixed'
    | 'http-increment'
    /** An HTTP batch of `namesEach` increments. */
    | 'http-batch-json'
    | 'http-batch-ndjson';
  readonly names: number;
  readonly pipeline: number;
  readonly seed: number;
  readonly namesEach?: number;
}

/** Finite. */
export interface FillSpec {
  readonly kind: /** INCR of every name once. */
    | 'fill'
    /** Adds of both signs and sets on every name, none of which exists yet. */
    | 'ledger';
  readonly names: number;
  /** Commands in a batch; many without it, so that servers are not held up. */
  readonly pipeline?: number;
}

export interface Batch {
  readonly bytes: Uint8Array;
  /** How many replies answer it. */
  readonly replies: number;
  /** How the sum of all counters grows when all of it is done. */
  readonly adds: number;
}

export interface Stream {
  readonly protocol: Protocol;
  /** The next batch, or undefined at the end. */
  next(): Batch | undefined;
}

export function openStream(spec: StreamSpec): Stream {
  switch (spec.kind) {
    case 'increment':
      return tape(spec, [respCommand('INCR', 1, 1)]);
    case 'get':
      return tape(spec, [respCommand('GET', 1, 0)]);
    case 'multi-get':
      return tape(spec, [respCommand('MGET', spec.namesEach ?? 1, 0)]);
    case 'mixed':
      return tape(spec, [respCommand('INCR', 1, 1), ...Array.from({ length: 10 }, () => respCommand('GET', 1, 0))]);
    case 'http-increment':
      return tape(spec, [httpIncrement()]);
    case 'http-batch-json':
      return tape(spec, [httpBatch(spec.namesEach ?? 1, 'application/json', (entries) => `[${entries.join(',')}]`)]);
    case 'http-batch-ndjson':
      return tape(spec, [httpBatch(spec.namesEach ?? 1, 'application/x-ndjson', (entries) => entries.join('\n'))]);
    case 'ping': {
      const batch = { bytes: Buffer.from('*1\r\n$4\r\nPING\r\n'), replies: 1, adds: 0 };
      return { protocol: 'resp', next: () => batch };
    }
    case 'fill':
      return filling(spec, (index, out) => out.add('INCR', index));
    case 'ledger':
      return filling(spec, ledgerCommands);
    default:
      return unreachable(spec);
  }
}

/** A command whose names are still to be written into it. */
interface Command {
  readonly bytes: Buffer;
  readonly nameAt: readonly number[];
  readonly adds: number;
}

/** Finds the places of the names in a text that was made with `nameOf(0)`. */
function command(text: string, adds: number): Command {
  const nameAt: number[] = [];
  for (let at = text.indexOf(nameOf(0)); at !== -1; at = text.indexOf(nameOf(0), at + 1)) nameAt.push(at);
  return { bytes: Buffer.from(text, 'latin1'), nameAt, adds };
}

function respCommand(verb: string, names: number, adds: number): Command {
  const name = nameOf(0);
  return command(
    `*${names + 1}\r\n$${verb.length}\r\n${verb}\r\n${`$${name.length}\r\n${name}\r\n`.repeat(names)}`,
    adds,
  );
}

function httpIncrement(): Command {
  return command(httpRequest(`/v1/counters/${nameOf(0)}/increment`, 'application/json', '{"by":1}'), 1);
}

function httpBatch(count: number, contentType: string, join: (entries: readonly string[]) => string): Command {
  const entries = Array.from({ length: count }, () => `{"name":"${nameOf(0)}","by":1}`);
  return command(httpRequest('/v1/batch', contentType, join(entries)), count);
}

function httpRequest(path: string, contentType: string, body: string): string {
  const headers = ['host: localhost', `content-type: ${contentType}`, `content-length: ${body.length}`];
  return `POST ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

export function nameOf(index: number): string {
  return `${NAME_PREFIX}${String(index).padStart(NAME_DIGITS, '0')}`;
}

/** The inverse of `nameOf`; undefined for what it never makes. */
export function indexOf(name: string): number | undefined {
  if (name.length !== NAME_PREFIX.length + NAME_DIGITS || !name.startsWith(NAME_PREFIX)) return undefined;
  let index = 0;
  for (let i = NAME_PREFIX.length; i < name.length; i++) {
    const digit = name.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    index = index * 10 + digit;
  }
  return index;
}

/** Writes the digits of a name over the zeros of `nameOf(0)` at `at`. */
function writeDigits(bytes: Uint8Array, at: number, index: number): void {
  let rest = index;
  for (let i = at + NAME_PREFIX.length + NAME_DIGITS - 1; rest > 0; i--) {
    const quotient = Math.floor(rest / 10);
    bytes[i] = 48 + (rest - quotient * 10);
    rest = quotient;
  }
}

/** Random names in commands that are chosen at random, written down once and then sent round and round. */
function tape(spec: TapeSpec, choices: readonly Command[]): Stream {
  const { names, pipeline } = spec;
  const random = new SeededRandom(spec.seed);
  const longest = Math.max(...choices.map(({ bytes }) => bytes.length));
  const batches = Math.floor(Math.min(TAPE_COMMANDS_MAX, TAPE_BYTES_MAX / longest) / pipeline);
  assert(batches > 0, 'a tape holds at least one batch');
  const bytes = Buffer.allocUnsafeSlow(batches * pipeline * longest);
  const ends = new Int32Array(batches);
  const adds = new Int32Array(batches);
  let used = 0;
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < pipeline; i++) {
      const chosen = choices.length === 1 ? choices[0] : random.pick(choices);
      bytes.set(chosen.bytes, used);
      for (const at of chosen.nameAt) writeDigits(bytes, used + at, random.below(names));
      used += chosen.bytes.length;
      adds[batch] += chosen.adds;
    }
    ends[batch] = used;
  }
  let at = 0;
  return {
    protocol: spec.kind.startsWith('http-') ? 'http' : 'resp',
    next: () => {
      if (at === batches) at = 0;
      const start = at === 0 ? 0 : ends[at - 1];
      const batch = { bytes: bytes.subarray(start, ends[at]), replies: pipeline, adds: adds[at] };
      at += 1;
      return batch;
    },
  };
}

/** Collects commands with arguments of any length. */
class CommandWriter {
  #parts: string[] = [];
  replies = 0;
  adds = 0;

  /** `verb name [argument]`; `grows`: by how much the counter's value changes. */
  add(verb: string, index: number, argument?: number, grows = 1): void {
    const name = nameOf(index);
    const head = `*${argument === undefined ? 2 : 3}\r\n$${verb.length}\r\n${verb}\r\n$${name.length}\r\n${name}\r\n`;
    const text = String(argument);
    this.#parts.push(argument === undefined ? head : `${head}$${text.length}\r\n${text}\r\n`);
    this.replies += 1;
    this.adds += grows;
  }

  take(): Batch {
    const batch = { bytes: Buffer.from(this.#parts.join(''), 'latin1'), replies: this.replies, adds: this.adds };
    this.#parts = [];
    this.replies = 0;
    this.adds = 0;
    return batch;
  }
}

function filling(
  { names, pipeline = FILL_PIPELINE }: FillSpec,
  write: (index: number, out: CommandWriter) => void,
): Stream {
  const writer = new CommandWriter();
  let index = 0;
  return {
    protocol: 'resp',
    next: () => {
      while (index < names && writer.replies < pipeline) write(index++, writer);
      return writer.replies === 0 ? undefined : writer.take();
    },
  };
}

/** What the ledger load leaves one counter at: most were only added to, some taken from, set, or brought below zero. */
function ledgerCommands(index: number, out: CommandWriter): void {
  const first = 1 + ((index * 7919) % 1_000_003);
  const second = 1 + ((index * 104_729) % 2_000_003);
  out.add('INCRBY', index, first, first);
  switch (index % 10) {
    case 0:
      out.add('SET', index, second, second - first);
      break;
    case 1:
      out.add('DECRBY', index, second, -second);
      break;
    case 2:
      out.add('INCRBY', index, -second, -second);
      break;
    case 3:
      out.add('INCR', index);
      break;
  }
}
