/** INFO: the fields that clients, tools and dashboards look for, in Redis's words, and Tallyd's own. */
import { type CommandContext, type CommandSpec, command, type DoorContext } from '../command.ts';

type Section = Readonly<Record<string, string | number>>;

/** Sections in their order, by the name they are asked for. */
const SECTIONS: Readonly<Record<string, (door: DoorContext) => Section>> = {
  Server: ({ clock, facts }) => {
    const uptimeSeconds = Math.floor((clock.monotonicMs() - facts.openedMs) / 1000);
    return {
      redis_version: facts.version,
      redis_mode: 'standalone',
      process_id: process.pid,
      run_id: facts.runId,
      tcp_port: facts.port,
      uptime_in_seconds: uptimeSeconds,
      uptime_in_days: Math.floor(uptimeSeconds / 86_400),
    };
  },
  Clients: ({ facts }) => ({
    connected_clients: facts.connections,
    maxclients: facts.connectionsMax,
    blocked_clients: 0,
  }),
  Memory: ({ service }) => {
    const { tableBytes, idempotencyBytes } = service.info();
    return { used_memory: tableBytes + idempotencyBytes, used_memory_rss: process.memoryUsage.rss(), maxmemory: 0 };
  },
  Persistence: ({ facts, service }) => {
    const info = service.info();
    return {
      loading: 0,
      rdb_bgsave_in_progress: facts.savesUnderWay > 0 ? 1 : 0,
      rdb_last_save_time: facts.savedAtSeconds,
      aof_enabled: 1,
      aof_rewrite_in_progress: 0,
      aof_last_write_status: info.state === 'failing' ? 'err' : 'ok',
      aof_current_size: info.journalBytes,
      tallyd_state: info.state,
      tallyd_durability: info.durability,
      tallyd_sequence: `${info.sequence}`,
      tallyd_durable_sequence: `${info.durableSequence}`,
      tallyd_groups: info.groups,
      tallyd_syncs: info.syncs,
    };
  },
  Stats: ({ facts, service }) => ({
    total_connections_received: facts.connectionsAccepted,
    rejected_connections: facts.connectionsRefused,
    total_commands_processed: service.info().commands,
  }),
  Replication: () => ({ role: 'master', connected_slaves: 0 }),
  Cluster: () => ({ cluster_enabled: 0 }),
  Keyspace: ({ service }): Section => {
    const { counters } = service.info();
    return counters === 0 ? {} : { db0: `keys=${counters},expires=0,avg_ttl=0` };
  },
};

function tell({ door, request }: CommandContext): string {
  const asked = new Set<string>();
  for (let i = 1; i < request.count; i++) asked.add(request.word(i));
  const isAll = asked.size === 0 || ['all', 'default', 'everything'].some((word) => asked.has(word));
  return Object.entries(SECTIONS)
    .filter(([name]) => isAll || asked.has(name.toLowerCase()))
    .map(([name, section]) => {
      const lines = Object.entries(section(door)).map(([key, value]) => `${key}:${value}\r\n`);
      return `# ${name}\r\n${lines.join('')}`;
    })
    .join('\r\n');
}

export const INFO: CommandSpec = command({
  syntax: 'INFO [section ...]',
  summary: 'Facts about the server and its service.',
  group: 'server',
  arity: -1,
  flags: ['loading', 'stale'],
  large: true,
  handle: (context) => {
    // The request is gone when the reply is written.
    const text = tell(context);
    return context.replies.say((writer) => writer.verbatim(text));
  },
});
