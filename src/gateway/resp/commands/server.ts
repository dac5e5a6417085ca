/** Commands about the server: TIME, SAVE, CLUSTER and their kin. */
import { CountingError } from '../../../counter/errors.ts';
import {
  type CommandContext,
  type CommandSpec,
  command,
  container,
  type DoorContext,
  SYNTAX_ERROR,
  subcommand,
} from '../command.ts';
import type { Planned } from '../replies.ts';

const toSeconds = (ms: number): number => Math.floor(ms / 1000);

async function saveNow(door: DoorContext): Promise<void> {
  const { clock, facts, service } = door;
  facts.savesUnderWay++;
  try {
    await service.snapshot();
    facts.savedAtSeconds = toSeconds(clock.nowMs());
  } finally {
    facts.savesUnderWay--;
  }
}

function saveBehind({ door, request, replies }: CommandContext): Planned {
  if (request.count > 2 || (request.count === 2 && request.word(1) !== 'schedule')) {
    return replies.error(SYNTAX_ERROR);
  }
  saveNow(door).catch((error: unknown) => {
    const code = error instanceof CountingError ? error.code : undefined;
    door.log.error({ err: error, code }, 'a snapshot asked for by BGSAVE failed');
  });
  return replies.say((writer) => writer.simple('Background saving started'));
}

const CLUSTER_DISABLED = 'ERR This instance has cluster support disabled';

const CLUSTER_SUBCOMMANDS: readonly CommandSpec[] = ['INFO', 'MYID', 'NODES', 'SHARDS', 'SLOTS'].map((word) =>
  subcommand({
    syntax: `CLUSTER ${word}`,
    summary: 'An error: this is not a Redis Cluster.',
    since: '3.0.0',
    group: 'cluster',
    arity: 2,
    flags: ['stale'],
    handle: ({ replies }) => replies.error(CLUSTER_DISABLED),
  }),
);

export const SERVER_COMMANDS: readonly CommandSpec[] = [
  command({
    syntax: 'TIME',
    summary: "The server's time: Unix seconds, microseconds.",
    since: '2.6.0',
    group: 'server',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    handle: ({ door, replies }) =>
      replies.say((writer) => {
        const nowMs = door.clock.nowMs();
        writer.array(2);
        writer.bulk(`${toSeconds(nowMs)}`);
        writer.bulk(`${(nowMs % 1000) * 1000}`);
      }),
  }),
  command({
    syntax: 'LASTSAVE',
    summary: 'Unix seconds of the last SAVE or BGSAVE, or of the start.',
    group: 'server',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    handle: ({ door, replies }) => replies.say((writer) => writer.number(door.facts.savedAtSeconds)),
  }),
  command({
    syntax: 'SAVE',
    summary: 'Writes a snapshot, beside running traffic, and answers when it is installed.',
    group: 'server',
    arity: 1,
    flags: ['admin', 'noscript', 'no_multi'],
    perform: async ({ door, replies }) => {
      await saveNow(door);
      return replies.say((writer) => writer.simple('OK'));
    },
  }),
  command({
    syntax: 'BGSAVE [SCHEDULE]',
    summary: 'Starts to write a snapshot, and answers at once; a failure is logged.',
    group: 'server',
    arity: -1,
    flags: ['admin', 'noscript'],
    handle: saveBehind,
  }),
  container(
    { syntax: 'CLUSTER', summary: 'This is not a Redis Cluster.', since: '3.0.0', group: 'cluster' },
    CLUSTER_SUBCOMMANDS,
  ),
];
