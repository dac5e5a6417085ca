/** The command table: everything that the RESP door answers, by name. */
import type { CommandSpec } from '../command.ts';
import { CLIENT } from './client.ts';
import { CONFIG } from './config.ts';
import { CONNECTION_COMMANDS } from './connection.ts';
import { COUNTING_COMMANDS } from './counting.ts';
import { DEADLINE_COMMANDS } from './deadlines.ts';
import { INCREX } from './increx.ts';
import { INFO } from './info.ts';
import { introspection } from './introspection.ts';
import { NAME_COMMANDS } from './names.ts';
import { SERVER_COMMANDS } from './server.ts';
import { TRANSACTION_COMMANDS } from './transactions.ts';
import { VALUE_COMMANDS } from './values.ts';

const commands = new Map<string, CommandSpec>();

function add(spec: CommandSpec): void {
  commands.set(spec.name, spec);
}

for (const part of [COUNTING_COMMANDS, VALUE_COMMANDS, NAME_COMMANDS, DEADLINE_COMMANDS]) part.forEach(add);
add(INCREX);
for (const part of [TRANSACTION_COMMANDS, CONNECTION_COMMANDS, SERVER_COMMANDS]) part.forEach(add);
[CLIENT, CONFIG, INFO, introspection(commands)].forEach(add);

/** By name in lower case, in COMMAND's order. */
export const COMMANDS: ReadonlyMap<string, CommandSpec> = commands;
