/**
 * What one more counter of a kind takes: the growth of a server's resident memory, without what the process takes
 * itself.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { CounterKind, Sample } from '../row.ts';
import { startServer } from '../servers/start.ts';
import type { Bench } from './bench.ts';
import { settledBytesOf } from './lifecycle.ts';

const BATCH_COUNTERS = 1_000;
const DEADLINE_SECONDS = '86400';
const LINE_FEED = 10;

export async function measureMemory(
  bench: Bench,
  server: 'redis' | 'tallyd',
  kind: CounterKind,
  names: number,
): Promise<Sample> {
  const { supervisor, cores } = bench;
  const directory = supervisor.temporaryDirectory();
  const { pid, respPort, stop } = await startServer(`${server}-off`, directory, supervisor, cores.server);
  if (respPort === undefined) throw new Error(`${server} speaks RESP`);
  const socket = connect({ host: '127.0.0.1', port: respPort, noDelay: true });
  await once(socket, 'connect');
  // What serving itself takes is there before.
  await fill(socket, kind, 0, BATCH_COUNTERS);
  const before = await settledBytesOf(pid);
  await fill(socket, kind, BATCH_COUNTERS, BATCH_COUNTERS + names);
  const bytesPerCounter = ((await settledBytesOf(pid)) - before) / names;
  socket.destroy();
  await stop();
  supervisor.removeDirectory(directory);
  return { bytesPerCounter };
}

/** Sets the counters `[from, to)`, some thousands a second at a time. */
async function fill(socket: Socket, kind: CounterKind, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += BATCH_COUNTERS) {
    const counters = Math.min(BATCH_COUNTERS, to - at);
    let text = '';
    for (let i = at; i < at + counters; i++) text += setCommand(kind, i);
    socket.write(text);
    for (let replies = 0; replies < counters; ) {
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      if (bytes.includes('-')) throw new Error(`the server answered: ${bytes.toString().trim()}`);
      for (const byte of bytes) if (byte === LINE_FEED) replies++;
    }
  }
}

function setCommand({ nameBytes, expires }: CounterKind, index: number): string {
  const words = ['SET', String(index).padStart(nameBytes, 'n'), String(index)];
  if (expires) words.push('EX', DEADLINE_SECONDS);
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}
