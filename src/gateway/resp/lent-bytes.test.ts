// Nobody reads another's bytes: every command, with arguments, while it waits behind one that is held and the buffer
// that it was read from is overwritten, by another client and by the same one.

import { afterEach, describe, expect, it } from 'vitest';
import { closeDoors, HeldDoor } from '../../../test/wire/held-door.ts';
import { request } from '../../../test/wire/raw-client.ts';
import type { CommandSpec } from './command.ts';
import { REFUSED_COMMANDS } from './commands/refused.ts';
import { COMMANDS } from './commands/table.ts';

afterEach(closeDoors);

/** Fills the read buffer of all sockets. */
const NOISE = 'Z'.repeat(65_000);
const WORDS = [...COMMANDS.values()]
  .flatMap(wordsOf)
  .concat([...REFUSED_COMMANDS.keys(), 'no-such-command'].map((w) => [w, 1]));

/** Each form of a command: its words, and how many arguments it takes at least. */
function wordsOf(spec: CommandSpec): [string, number][] {
  if (spec.subcommands !== undefined) return [...spec.subcommands.values()].flatMap(wordsOf);
  const words = spec.name.replace('|', ' ');
  return [[words, Math.max(Math.abs(spec.arity) - words.split(' ').length, 0)]];
}

/** As many arguments as the command takes, and one more for those that are optional: different letters in each. */
function formsOf(words: string, args: number, salt: number): Buffer[] {
  const letters = (i: number): string => String.fromCharCode(97 + ((salt + i) % 25)).repeat(150 + (salt % 40));
  return [args, args + 1].map((count) =>
    request(...words.split(' '), ...Array.from({ length: count }, (_, i) => letters(i))),
  );
}

/** Numbers differ from call to call. */
const withoutNumbers = (reply: string): string => reply.replace(/-?\d+/g, '#');

describe.each(['direct', 'events'] as const)('transport: %s', (transport) => {
  it.each(WORDS)('%s answers with its own bytes', async (words, args) => {
    for (const [salt, form] of formsOf(words, args, words.length).entries()) {
      const { connect, service } = await HeldDoor.open(transport);
      service.isImmediate = true;
      const quiet = await connect();
      quiet.send(Buffer.concat([form, request('QUIT')]));
      const expected = withoutNumbers(await quiet.rest());

      service.isImmediate = false;
      const seen = service.seen.length;
      const client = await connect();
      const other = await connect();
      client.send(Buffer.concat([request('INCR', `held-${salt}`), form, request('QUIT')]));
      await service.submitted(seen + 1);
      await other.call('PING', NOISE);
      service.isImmediate = true;
      service.complete();
      expect(withoutNumbers((await client.rest()).replace(':1\r\n', ''))).toBe(expected);
    }
  });

  it('a transaction answers with its own bytes, whatever the client sends next', async () => {
    const { connect, service } = await HeldDoor.open(transport);
    const client = await connect();
    const words = ['a', 'b', 'c'].map((letter) => letter.repeat(200));
    const queued = words.map((word) => request('PING', word));
    client.send(Buffer.concat([request('INCR', 'x'), request('MULTI'), ...queued, request('EXEC')]));
    await service.submitted(1);
    client.send(request('ECHO', NOISE.slice(0, 900)));
    await (await connect()).call('PING', NOISE);
    service.isImmediate = true;
    service.complete();
    expect(await client.reply()).toBe(':1\r\n');
    for (let i = 0; i < 4; i++) await client.reply();
    expect(await client.reply()).toBe(`*3\r\n${words.map((word) => `$200\r\n${word}\r\n`).join('')}`);
  });
});
