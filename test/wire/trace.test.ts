// The system calls of the real process under load, as strace sees them: every reply and every read that saw an update
// leaves after the fdatasync that covers it. SIGKILL cannot show that, because the page cache survives it.
//
// Each sync is made to take longer (strace delays its return), so that there is always something applied and not yet
// durable that a wrong read could see. Two controls show that the check can fail: reads of a counter whose policy is
// `reads: dirty`, and a server in mode `interval`, which answers before it syncs.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { lacks } from '../programs.ts';
import { frame, RespConnection } from './counting-clients.ts';
import { type Asker, checkOrder, type Finding, type OrderReport } from './durability-order.ts';
import { ServerProcess, stopServers } from './server-process.ts';
import { parseSystemCalls, STRACE_OPTIONS } from './system-calls.ts';

const TRACED = 'write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,fdatasync,fsync';
const SYNC_DELAY_US = 2_000;
/** Per connection. Reads go on beside the updates, those that need not wait for the disk up to a bound. */
const UPDATES = 300;
const READS_MAX = 1_000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-trace-'));
  await writeFile(join(root, 'tallyd.yaml'), 'policies:\n  - match: "dirty"\n    reads: dirty\n');
});
afterEach(stopServers);
afterAll(() => rm(root, { recursive: true, force: true }));

/** The load on one server: each connection asks for one counter, in one way. */
class Load {
  readonly askers = new Map<number, Asker>();
  /** Replies that arrived, by role. */
  readonly received: Record<string, number> = {};
  readonly #server: ServerProcess;
  #isOver = false;

  constructor(server: ServerProcess) {
    this.#server = server;
  }

  /** Updates to their end, beside reads that go on until then. */
  async run(): Promise<void> {
    const updates = [
      this.#pipeline('INCR', 'exact', 1),
      this.#pipeline('INCR', 'exact', 7),
      this.#pipeline('INCRBY', 'exact', 3, '5'),
      this.#pipeline('INCR', 'dirty', 1),
      this.#http('increment', 'exact', 'POST', '/v1/counters/exact/increment'),
    ];
    const reads = [
      this.#read('GET', 'exact'),
      this.#read('GET', 'exact'),
      this.#read('GET', 'dirty'),
      this.#http('get', 'exact', 'GET', '/v1/counters/exact'),
      this.#http('list', 'exact', 'GET', '/v1/counters?match=exact'),
    ];
    await Promise.all(updates);
    this.#isOver = true;
    await Promise.all(reads);
  }

  async #pipeline(command: string, counter: string, depth: number, ...amount: readonly string[]): Promise<void> {
    const connection = await this.#connect(`${command} ${counter}`, counter);
    for (let sent = 0; sent < UPDATES; sent += depth) {
      connection.send(frame(command, counter, ...amount).repeat(depth));
      await this.#lines(connection, `${command} ${counter}`, depth, 1);
    }
    connection.close();
  }

  async #read(command: string, counter: string): Promise<void> {
    const connection = await this.#connect(`${command} ${counter}`, counter);
    for (let done = 0; done < READS_MAX && !this.#isOver; done++) {
      connection.send(frame(command, counter));
      await this.#lines(connection, `${command} ${counter}`, 1, 2);
    }
    connection.close();
  }

  async #connect(role: string, counter: string): Promise<RespConnection> {
    const connection = await RespConnection.open(this.#server.resp);
    if (connection === undefined) throw new Error('the server does not listen');
    this.askers.set(connection.localPort, { role, counter, protocol: 'resp' });
    return connection;
  }

  async #lines(connection: RespConnection, role: string, replies: number, linesPerReply: number): Promise<void> {
    if ((await connection.lines(replies * linesPerReply)) === undefined) throw new Error('the connection broke');
    this.received[role] = (this.received[role] ?? 0) + replies;
  }

  /** One connection; updates a fixed number of times, reads until the updates are over. */
  async #http(role: string, counter: string, method: string, path: string): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const isUpdate = method === 'POST';
    for (let done = 0; done < (isUpdate ? UPDATES : READS_MAX) && (isUpdate || !this.#isOver); done++) {
      await new Promise<void>((resolve, reject) => {
        const asked = request({ ...this.#server.http, agent, method, path }, (response) => {
          response.resume().once('end', resolve);
          if (response.statusCode !== 200) reject(new Error(`${path} answered ${response.statusCode}`));
        });
        asked.once('error', reject);
        asked.once('socket', (socket) => {
          const note = (): unknown => this.askers.set(socket.localPort ?? 0, { role, counter, protocol: 'http' });
          if (socket.connecting) socket.once('connect', note);
          else note();
        });
        asked.end();
      });
      this.received[role] = (this.received[role] ?? 0) + 1;
    }
    agent.destroy();
  }
}

async function trace(name: string, flags: readonly string[]): Promise<{ report: OrderReport; load: Load }> {
  const output = join(root, `${name}.strace`);
  const inject = `inject=fdatasync:delay_exit=${SYNC_DELAY_US}`;
  const under = ['strace', ...STRACE_OPTIONS, '-e', `trace=${TRACED}`, '-e', inject, '-o', output];
  const config = ['--config', join(root, 'tallyd.yaml')];
  const server = await ServerProcess.start({ data: join(root, name), under, flags: [...config, ...flags] });
  // So that the first read finds a number.
  const first = await RespConnection.open(server.resp);
  first?.send(frame('INCR', 'exact') + frame('INCR', 'dirty'));
  await first?.lines(2);
  const load = new Load(server);
  await load.run();
  first?.close();
  expect((await server.end('SIGTERM')).code).toBe(0);
  const report = await checkOrder(parseSystemCalls(await readFile(output, 'latin1')), load.askers);
  return { report, load };
}

function earlyByRole(report: OrderReport): Record<string, { count: number; first: Finding }> {
  const found: Record<string, { count: number; first: Finding }> = {};
  for (const finding of report.early) {
    const ofRole = found[finding.role] ?? { count: 0, first: finding };
    found[finding.role] = { ...ofRole, count: ofRole.count + 1 };
  }
  return found;
}

describe.skipIf(lacks('strace'))('the system calls of a server under load (needs strace)', () => {
  it('show no reply and no read of an update before the fdatasync that covers it', async () => {
    const { report, load } = await trace('always', []);
    // Nothing escaped the check: what the clients received is what was found in the trace.
    expect(report.checked).toEqual(load.received);
    for (const [role, count] of Object.entries(report.checked)) expect(count, role).toBeGreaterThan(20);
    const early = earlyByRole(report);
    // The control: what a read looks like that does not wait.
    expect(early['GET dirty']?.count).toBeGreaterThan(20);
    expect(early).toEqual({ 'GET dirty': early['GET dirty'] });
    expect(report.syncs).toBeGreaterThan(UPDATES / 2);
  });

  it('show replies before the sync in mode interval, as it promises', async () => {
    const { report, load } = await trace('interval', ['--durability', 'interval']);
    expect(report.checked).toEqual(load.received);
    const early = earlyByRole(report);
    for (const role of Object.keys(load.received)) expect(early[role]?.count, role).toBeGreaterThan(20);
  });
});
