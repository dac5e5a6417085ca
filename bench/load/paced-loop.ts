/**
 * At a given rate, whatever the server does: commands are due at equal intervals, and latency counts from the moment
 * when a command was due, not from when it could be sent. A server that stalls therefore shows in every command that
 * was due meanwhile, and not in one only.
 *
 * A timer of one millisecond would send in bursts, so the generator looks at the clock all the time and takes its
 * core whole; that it kept the pace shows in `sentLate`.
 */

import { type LoadReport, openConnections } from './closed-loop.ts';
import type { Connection } from './connection.ts';
import { Meter } from './meter.ts';
import type { Stream } from './stream.ts';

export interface PacedLoopOptions {
  readonly port: number;
  readonly serverPid: number;
  readonly connections: number;
  readonly stream: Stream;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Batches per second. */
  readonly rate: number;
}

export interface PacedReport extends LoadReport {
  /**
   * Share of the commands that were sent later than 0.1 ms after they were due, for want of a free connection or CPU.
   */
  readonly sentLate: number;
}

const LATE_MS = 0.1;

export async function runPacedLoop(options: PacedLoopOptions): Promise<PacedReport> {
  const { stream, warmUpMs, durationMs, rate } = options;
  const meter = new Meter(options.serverPid);
  const { promise: finished, resolve: finish, reject: fail } = Promise.withResolvers<void>();
  // It may fail while nobody waits for it yet.
  finished.catch(() => undefined);
  let added = 0;
  let acknowledged = 0;
  let due = 0;
  let late = 0;
  const total = Math.round(((warmUpMs + durationMs) / 1000) * rate);
  const warmUp = Math.round((warmUpMs / 1000) * rate);
  const intervalMs = 1000 / rate;
  const free: Connection[] = [];
  const all = await openConnections(options.port, stream.protocol, options.connections, {
    onReplies: (count) => {
      acknowledged += count;
      meter.count(count);
    },
    onBatch: (connection, batch) => {
      added += batch.adds;
      meter.latency(performance.now() - connection.startedAtMs);
      free.push(connection);
      if (due === total && free.length === all.length) finish();
    },
    onFailure: (error) => {
      due = total;
      fail(error);
    },
  });
  free.push(...all);
  const startedAtMs = performance.now() + 1;
  const tick = (): void => {
    const now = performance.now();
    for (let at = startedAtMs + due * intervalMs; at <= now && due < total; at += intervalMs) {
      const connection = free.pop();
      if (connection === undefined) break;
      const batch = stream.next();
      if (batch === undefined) throw new Error('a paced load needs an endless stream');
      if (due === warmUp) meter.start();
      if (now - at > LATE_MS && due >= warmUp) late += 1;
      connection.startedAtMs = at;
      due += 1;
      connection.send(batch);
    }
    if (due < total) setImmediate(tick);
  };
  try {
    tick();
    await finished;
    return { measured: meter.stop(), added, acknowledged, sentLate: late / (total - warmUp) };
  } finally {
    for (const connection of all) connection.close();
  }
}
