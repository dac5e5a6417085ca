/** Parses arguments and options. An invalid one is a UsageError that names the argument. */
import { UsageError } from './failure.ts';

/** A count: an integer of any length; the server checks whether it fits 64 bits. */
export function countArgument(text: string, what: string): bigint {
  if (/^[+-]?\d{1,30}$/.test(text)) return BigInt(text.replace('+', ''));
  throw new UsageError(`${what} must be a whole number such as 5 or -5, not '${text}'`);
}

export function optionalCount(text: string | undefined, what: string): bigint | undefined {
  return text === undefined ? undefined : countArgument(text, what);
}

/** A positive whole number, such as seconds to live. */
export function wholeArgument(text: string, what: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new UsageError(`${what} must be a whole number above 0, not '${text}'`);
}

export function optionalWhole(text: string | undefined, what: string): number | undefined {
  return text === undefined ? undefined : wholeArgument(text, what);
}

/** Seconds, with a fraction if need be, as milliseconds. */
export function durationMs(text: string, what: string): number {
  const ms = /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Math.round(Number(text) * 1_000) : 0;
  if (ms > 0 && ms < 2 ** 31) return ms;
  throw new UsageError(`${what} must be seconds above 0 such as 10 or 0.5, not '${text}'`);
}
