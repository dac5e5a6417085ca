import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { CommandSpec } from '../command.ts';
import { REFUSED_COMMANDS } from './refused.ts';
import { COMMANDS } from './table.ts';

const docs = readFileSync(new URL('../../../../docs/resp.md', import.meta.url), 'utf8');

const all: CommandSpec[] = [...COMMANDS.values()].flatMap((spec) => [spec, ...(spec.subcommands?.values() ?? [])]);
const answered = all.filter(({ handle, perform }) => handle !== undefined || perform !== undefined);

/** The first two cells of each row of the table of commands. */
function documented(): string[] {
  const table = docs.split('## Every command that is answered')[1]?.split('\n### ')[0] ?? '';
  return table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, 3)
        .join('|')
        .replaceAll('\\|', '|')
        .trim(),
    );
}

describe('the command table', () => {
  it('is the one in docs/resp.md, row by row', () => {
    expect(documented()).toEqual(answered.map(({ syntax, summary }) => `\`${syntax}\` | ${summary}`));
  });

  it('has each refused command in the docs, and none of them as an answered one', () => {
    for (const [name, text] of REFUSED_COMMANDS) {
      expect(COMMANDS.has(name)).toBe(false);
      expect(text).toMatch(new RegExp(`^ERR ${name.toUpperCase()} is not supported`));
      expect(docs).toContain(name.toUpperCase());
    }
  });

  it('is consistent', () => {
    for (const [name, spec] of COMMANDS) {
      expect(spec.name).toBe(name);
      const isContainer = spec.subcommands !== undefined;
      expect(spec.handle === undefined && spec.perform === undefined, name).toBe(isContainer && name !== 'command');
      for (const [word, part] of spec.subcommands ?? []) expect(part.name).toBe(`${name}|${word}`);
    }
    for (const spec of all) {
      expect(spec.handle !== undefined && spec.perform !== undefined, spec.name).toBe(false);
      // What takes time cannot be queued: EXEC plans all its replies at once.
      if (spec.perform !== undefined) expect(spec.flags, spec.name).toContain('no_multi');
      expect(spec.name.length, spec.name).toBeLessThanOrEqual(64);
    }
  });

  it('counts the arguments in the syntax of each command as its arity does', () => {
    for (const { syntax, arity, name, subcommands } of answered) {
      // QUIT takes whatever follows, as in Redis.
      if (name === 'quit' || subcommands !== undefined) continue;
      const required = syntax.replace(/ \[.*\]/g, '').replaceAll(' | ', '|');
      const isOpen = /\[/.test(syntax);
      expect(arity, name).toBe(isOpen ? -required.split(' ').length : required.split(' ').length);
    }
  });
});
