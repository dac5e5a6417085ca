/**
 * As fast as the server answers: every connection sends its next batch as soon as the one before is answered in
 * full. Latency is that of a whole batch. When the time is up nothing more is sent and everything under way is
 * awaited, so that in the end what was sent, what was acknowledged and what is stored are the same number.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, type ConnectionEvents } from './connection.ts';
import { type Measured, Meter } from './meter.ts';
import { openReplyCounter, type Protocol } from './reply-counter.ts';
import type { Stream } from './stream.ts';

export interface ClosedLoopOptions {
  readonly port: number;
  readonly serverPid: number;
  readonly connections: number;
  readonly stream: Stream;
  readonly warmUpMs: number;
  /** Undefined: until the stream ends. */
  readonly durationMs: number | undefined;
}

export interface LoadReport {
  readonly measured: Measured;
  /** How much the sum of all counters has grown by what was acknowledged, the warm-up included. */
  readonly added: number;
  readonly acknowledged: number;
}

export async function runClosedLoop(options: ClosedLoopOptions): Promise<LoadReport> {
  const meter = new Meter(options.serverPid);
  const { promise: finished, resolve: finish, reject: fail } = Promise.withResolvers<void>();
  // It may fail while nobody waits for it yet.
  finished.catch(() => undefined);
  let stopping = false;
  let busy = 0;
  let added = 0;
  let acknowledged = 0;
  const send = (connection: Connection, now: number): void => {
    const batch = stopping ? undefined : options.stream.next();
    if (batch === undefined) {
      busy -= 1;
      if (busy === 0) finish();
      return;
    }
    connection.startedAtMs = now;
    connection.send(batch);
  };
  const connections = await openConnections(options.port, options.stream.protocol, options.connections, {
    onReplies: (count) => {
      acknowledged += count;
      meter.count(count);
    },
    onBatch: (connection, batch) => {
      added += batch.adds;
      const now = performance.now();
      meter.latency(now - connection.startedAtMs);
      send(connection, now);
    },
    onFailure: fail,
  });
  try {
    busy = connections.length;
    if (options.durationMs === undefined) meter.start();
    const since = performance.now();
    for (const connection of connections) send(connection, since);
    let measured: Measured | undefined;
    if (options.durationMs !== undefined) {
      await Promise.race([delay(options.warmUpMs), finished]);
      meter.start();
      await Promise.race([delay(options.durationMs), finished]);
      measured = meter.stop();
      stopping = true;
    }
    await finished;
    return { measured: measured ?? meter.stop(), added, acknowledged };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Opens `count` connections that share one set of events: all of them, or none. */
export async function openConnections(
  port: number,
  protocol: Protocol,
  count: number,
  events: ConnectionEvents,
): Promise<Connection[]> {
  const open = (): Promise<Connection> => Connection.open(port, openReplyCounter(protocol), events);
  const settled = await Promise.allSettled(Array.from({ length: count }, open));
  const opened = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const refused = settled.find((result) => result.status === 'rejected');
  if (refused === undefined) return opened;
  for (const connection of opened) connection.close();
  throw refused.reason;
}
