/**
 * The server's log, on stderr: a JSON object a line, or readable lines if stderr is a terminal.
 *
 * Counting does not depend on it. A line that cannot be written (a full disk, a reader that has gone, a terminal that
 * has hung up) is lost, and the next written line reports how many were.
 */
import { writeSync } from 'node:fs';
import picocolors from 'picocolors';
import { type Logger, pino } from 'pino';
import type { LogLevel } from './settings.ts';

/** Writes to a descriptor as `writeSync` does. */
type Write = (bytes: Buffer) => number;

export interface LogOptions {
  readonly level: LogLevel;
  /** Lines for people instead of JSON. */
  readonly isTerminal: boolean;
  readonly hasColors: boolean;
  readonly write?: Write;
}

const STDERR = 2;

export function openLog({ level, isTerminal, hasColors, write = toStderr }: LogOptions): Logger {
  const colors = picocolors.createColors(hasColors);
  let lost = 0;
  const put = (line: string): boolean => {
    try {
      let bytes: Buffer = Buffer.from(isTerminal ? forPeople(line, colors) : line);
      while (bytes.length > 0) bytes = bytes.subarray(write(bytes));
      return true;
    } catch {
      return false;
    }
  };
  const log = pino(
    { level, base: null },
    {
      write: (line: string) => {
        if (!put(line)) {
          lost++;
        } else if (lost > 0) {
          const before = lost;
          lost = 0;
          log.warn({ lost: before }, 'log lines could not be written and are lost');
        }
      },
    },
  );
  return log;
}

function toStderr(bytes: Buffer): number {
  return writeSync(STDERR, bytes);
}

type Colors = ReturnType<typeof picocolors.createColors>;

/** `10:15:03.123 WARN  connections refused refused=3 max=128`, with an error's message after the sentence. */
function forPeople(line: string, colors: Colors): string {
  const { level, time, msg, err, ...data } = JSON.parse(line) as Record<string, unknown>;
  const label = (pino.levels.labels[Number(level)] ?? 'log').toUpperCase();
  const paint = label === 'WARN' ? colors.yellow : label === 'ERROR' || label === 'FATAL' ? colors.red : colors.green;
  const at = new Date(Number(time)).toISOString().slice(11, 23);
  const reason = (err as { message?: string } | undefined)?.message;
  const fields = Object.entries(data).map(([name, value]) => ` ${colors.dim(`${name}=`)}${shown(value)}`);
  const sentence = reason === undefined ? msg : `${msg}: ${reason}`;
  const stack = label === 'FATAL' ? (err as { stack?: string } | undefined)?.stack : undefined;
  return `${at} ${paint(label.padEnd(5))} ${sentence}${fields.join('')}\n${stack === undefined ? '' : `${stack}\n`}`;
}

/** A value as part of one line: text from clients can neither end it nor control the terminal. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => character.replace(/./gsu, escaped));
}
