/** The commands that change one or a few counters. */
import type { Command } from 'commander';
import type { IncrementOptions } from '../client/client.ts';
import type { Action } from './action.ts';
import { countArgument, optionalCount, optionalWhole, wholeArgument } from './arguments.ts';
import { clientOf } from './connection.ts';
import { Exit, UsageError } from './failure.ts';

interface IncrementFlags {
  readonly floor?: string;
  readonly ceiling?: string;
  readonly saturate?: boolean;
  readonly ttl?: string;
  readonly ttlIfNone?: boolean;
  readonly key?: string;
}

export function addUpdateCommands(program: Command, action: Action): void {
  addIncrement(program, action, 'incr', 'add BY (default 1, may be negative) and print the new count');
  addIncrement(program, action, 'decr', 'subtract BY (default 1) and print the new count');

  program
    .command('set <name> <value>')
    .description('set the count and print what it was')
    .option('--ttl <seconds>', 'let the counter expire; without it a deadline is removed')
    .option('--key <key>', 'idempotency key, to repeat an update whose outcome was unknown')
    .addHelpText('after', '\nExamples:\n  tallyd set seats 120\n  tallyd set session:7 1 --ttl 3600')
    .action(
      action(async (terminal, command, name: string, value: string) => {
        const { ttl, key } = command.opts<IncrementFlags>();
        const ttlSeconds = optionalWhole(ttl, '--ttl');
        const options = { ttlSeconds, idempotencyKey: key };
        const count = countArgument(value, 'VALUE');
        const previous = await clientOf(command, terminal).set(name, count, options);
        await terminal.result(`${previous}`, { name, value: count, previous });
        return Exit.done;
      }),
    );

  program
    .command('reset <name>')
    .description('set the count to 0 and print what it was')
    .option('--key <key>', 'idempotency key, to repeat an update whose outcome was unknown')
    .addHelpText('after', '\nExamples:\n  tallyd reset views:today\n  echo "$(tallyd reset views:today) views"')
    .action(
      action(async (terminal, command, name: string) => {
        const { key } = command.opts<IncrementFlags>();
        const previous = await clientOf(command, terminal).reset(name, { idempotencyKey: key });
        await terminal.result(`${previous}`, { name, value: 0, previous });
        return Exit.done;
      }),
    );

  program
    .command('del <name...>')
    .description('delete counters and print how many there were')
    .addHelpText('after', '\nExamples:\n  tallyd del likes:41 likes:42\n  tallyd del -- -odd-name')
    .action(
      action(async (terminal, command, names: string[]) => {
        const client = clientOf(command, terminal);
        let deleted = 0;
        for (const name of names) if (await client.delete(name)) deleted += 1;
        await terminal.result(`${deleted}`, { deleted });
        return Exit.done;
      }),
    );

  addTtl(program, action);
}

function addIncrement(program: Command, action: Action, verb: 'incr' | 'decr', description: string): void {
  program
    .command(`${verb} <name> [by]`)
    .description(description)
    .option('--floor <count>', 'refuse when the result would be below')
    .option('--ceiling <count>', 'refuse when the result would be above')
    .option('--saturate', 'at a bound apply what fits instead of refusing')
    .option('--ttl <seconds>', 'let the counter expire this long after now')
    .option('--ttl-if-none', 'keep the deadline that there is: --ttl counts only when there is none')
    .option('--key <key>', 'idempotency key, to repeat an update whose outcome was unknown')
    .addHelpText(
      'after',
      `\nExamples:\n  tallyd ${verb} likes:42\n  tallyd ${verb} likes:42 -5\n  tallyd ${verb} stock:7 3 --floor 0 --ceiling 100`,
    )
    .action(
      action(async (terminal, command, name: string, by: string = '1') => {
        const flags = command.opts<IncrementFlags>();
        const options: IncrementOptions = {
          floor: optionalCount(flags.floor, '--floor'),
          ceiling: optionalCount(flags.ceiling, '--ceiling'),
          saturate: flags.saturate,
          ttlSeconds: optionalWhole(flags.ttl, '--ttl'),
          ttlIfNone: flags.ttlIfNone,
          idempotencyKey: flags.key,
        };
        if (options.ttlIfNone && flags.ttl === undefined) throw new UsageError('--ttl-if-none needs a --ttl');
        const amount = countArgument(by, 'BY');
        const client = clientOf(command, terminal);
        const done = await client.adjust(name, amount, { ...options, subtract: verb === 'decr' });
        await terminal.result(`${done.value}`, { name, ...done });
        return Exit.done;
      }),
    );
}

function addTtl(program: Command, action: Action): void {
  program
    .command('ttl <name> [seconds]')
    .description(
      "print a counter's seconds to live ('none' without a deadline), or set them, or remove them with 'none'",
    )
    .addHelpText(
      'after',
      "\nPrints 'absent', and exits with 1, when there is no such counter.\n" +
        '\nExamples:\n  tallyd ttl session:7\n  tallyd ttl session:7 3600\n  tallyd ttl session:7 none',
    )
    .action(
      action(async (terminal, command, name: string, seconds?: string) => {
        const client = clientOf(command, terminal);
        let exists: boolean;
        let ttlSeconds: number | undefined;
        if (seconds === undefined) {
          ({ exists, ttlSeconds } = await client.ttl(name));
        } else if (seconds === 'none') {
          exists = await client.persist(name);
        } else {
          ttlSeconds = wholeArgument(seconds, 'SECONDS');
          exists = await client.expire(name, ttlSeconds);
        }
        const plain = exists ? `${ttlSeconds ?? 'none'}` : 'absent';
        await terminal.result(plain, { name, exists, ttl: exists ? (ttlSeconds ?? null) : null });
        return exists ? Exit.done : Exit.refused;
      }),
    );
}
