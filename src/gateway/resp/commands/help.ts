/** HELP of a command with subcommands: its subcommands, as the table has them. */
import { type CommandSpec, subcommand } from '../command.ts';

/** The subcommand HELP of `name`. */
export function help(name: string, subcommands: readonly CommandSpec[]): CommandSpec {
  return subcommand({
    syntax: `${name} HELP`,
    summary: 'The subcommands.',
    since: '5.0.0',
    group: subcommands[0].group,
    arity: 2,
    flags: ['loading', 'stale'],
    handle: ({ replies }) => {
      const lines = [`${name} <subcommand> [<arg> ...]. Subcommands are:`];
      for (const { syntax, summary } of subcommands) lines.push(syntax.slice(name.length + 1), `    ${summary}`);
      lines.push('HELP', '    The subcommands.');
      return replies.say((writer) => {
        writer.array(lines.length);
        for (const line of lines) writer.simple(line);
      });
    },
  });
}
