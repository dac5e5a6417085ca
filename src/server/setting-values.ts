/**
 * Parsers of single settings. Each takes what a flag, a variable or the config file gives (text; from YAML also
 * integers as `bigint`, booleans and lists) and throws a `ValueError` that says what is expected instead.
 */
import { isIPv6 } from 'node:net';
import { fitsInt64, parseDecimal } from '../counter/int64.ts';
import { PATTERN_BYTES_MAX } from '../counter/limits.ts';

/** Why a value is refused; the caller prepends the setting's name. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
}

/** Where a door listens. */
export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** A value as it is shown in a refusal. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : String(value);
}

export function parseText(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new ValueError(value === '' ? 'nothing is given' : `${shown(value)} is not a text; put it in quotes`);
}

/** A pattern of names. */
export function parsePattern(value: unknown): string {
  const pattern = parseText(value);
  if (Buffer.byteLength(pattern) <= PATTERN_BYTES_MAX) return pattern;
  throw new ValueError(
    `a pattern takes at most ${PATTERN_BYTES_MAX} bytes, and this one has ${Buffer.byteLength(pattern)}`,
  );
}

/** `HOST:PORT`, `[IPv6]:PORT`, or `off` for undefined. */
export function parseListen(value: unknown): ListenAddress | undefined {
  if (value === 'off') return undefined;
  const match = typeof value === 'string' ? /^(?:\[([^\]]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(value) : null;
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const isSound = host !== undefined && port <= 65_535 && (match?.[1] === undefined || isIPv6(match[1]));
  if (!isSound) {
    throw new ValueError(`${shown(value)} is not HOST:PORT, as 127.0.0.1:7070 or "[::1]:7070" (port 0: any), or off`);
  }
  return { host, port };
}

/** How an address is written: IPv6 in brackets. */
export function showAddress(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** One of the given words. */
export function parseWord<const Word extends string>(words: readonly Word[]): (value: unknown) => Word {
  return (value) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw new ValueError(`${shown(value)} is none of ${words.join(', ')}`);
    return found;
  };
}

export function parseBoolean(value: unknown): boolean {
  if (value === true || value === 'true' || value === '1') return true;
  if (value === false || value === 'false' || value === '0') return false;
  throw new ValueError(`${shown(value)} is neither true nor false`);
}

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `500ms`, `60s`, `5m`, `1h`, `7d`, or a number of seconds; in ms, at least 1. */
export function parseDuration(value: unknown): number {
  const match = /^(\d+)(ms|s|m|h|d)?$/.exec(wholeNumberText(value));
  const durationMs = Number(match?.[1]) * (MS_PER_UNIT[match?.[2] ?? 's'] ?? Number.NaN);
  if (!Number.isSafeInteger(durationMs) || durationMs < 1) {
    throw new ValueError(`${shown(value)} is not a duration, as 500ms, 60s, 5m, 1h, 7d or a number of seconds`);
  }
  return durationMs;
}

const BYTES_PER_UNIT: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** `64MiB`, `1GiB`, or a number of bytes; at least 1. */
export function parseBytes(value: unknown): number {
  const match = /^(\d+)(KiB|MiB|GiB|TiB)?$/.exec(wholeNumberText(value));
  const bytes = Number(match?.[1]) * (match?.[2] === undefined ? 1 : (BYTES_PER_UNIT[match[2]] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new ValueError(`${shown(value)} is not a size, as 512KiB, 64MiB, 1GiB or a number of bytes`);
  }
  return bytes;
}

/** A whole number, at least 1. */
export function parseCount(value: unknown): number {
  const text = wholeNumberText(value);
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count) || count < 1) throw new ValueError(`${shown(value)} is not a whole number above 0`);
  return count;
}

function wholeNumberText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'bigint' ? String(value) : '';
}

/** A count of the whole 64-bit range: an integer, or a decimal string. Fractions are refused, `5.0` too. */
export function parseInt64Value(value: unknown): bigint {
  if (typeof value === 'bigint' && fitsInt64(value)) return value;
  const parsed = typeof value === 'string' ? parseDecimal(value) : undefined;
  if (parsed !== undefined) return parsed;
  throw new ValueError(
    `${shown(value)} is not an integer from -9223372036854775808 to 9223372036854775807, without fraction or exponent`,
  );
}

/** Origins of web pages, `*` for all: a list, or one text with blanks or commas between them. */
export function parseOrigins(value: unknown): readonly string[] {
  return parseList(value, (text) => {
    if (text === '*' || (URL.canParse(text) && new URL(text).origin === text)) return text;
    throw new ValueError(
      `${shown(text)} is not the origin of a page, as https://example.com or http://localhost:3000, or * for all`,
    );
  });
}

/** Methods of HTTP that the routes take, as a list like origins. */
export function parseMethods(value: unknown): readonly string[] {
  return parseList(value, parseWord(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']));
}

/** Names of hosts, without ports, `*` for any, as a list like origins. */
export function parseHostNames(value: unknown): readonly string[] {
  return parseList(value, (text) => {
    const name = text.toLowerCase();
    if (name === '*' || /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(name)) return name;
    throw new ValueError(
      `${shown(text)} is not the name of a host, as tally.example.com, or * for any; leave its port out`,
    );
  });
}

function parseList(value: unknown, parseItem: (text: string) => string): readonly string[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  return items.flatMap((item) => parseText(item).split(/[\s,]+/)).map(parseItem);
}

/** Runs a parser and puts the setting's name in front of its refusal. */
export function named<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new ValueError(`${name}: ${error.message}`);
  }
}

/** A map of the config file. @param path what it is, for the refusal */
export function asMap(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ValueError(`${path}: ${shown(value)} is not a map of keys and values`);
}
