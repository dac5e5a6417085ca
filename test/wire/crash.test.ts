// kill -9 under load, again and again on one directory: what was acknowledged is there, what is there was asked for,
// and nothing was counted twice. SIGKILL spares the page cache, so this shows recovery, not syncing: trace.test.ts does
// that.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import {
  type CountingClient,
  KeyedHttpClient,
  PlainHttpClient,
  RespClient,
  readCounts,
  TransactionClient,
} from './counting-clients.ts';
import { runTallyd, ServerProcess, stopServers } from './server-process.ts';

const ROUNDS = 50;
const ROUND_MS_MAX = 400;
/** Keeps every digit below BASE over all rounds. */
const UPDATES_PER_ROUND_MAX = 10_000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-crash-'));
});
afterEach(stopServers);
afterAll(() => rm(root, { recursive: true, force: true }));

/** What a client's counters held when the round began. */
interface Standing {
  own: bigint;
  digit: bigint;
}

describe(`kill -9 under load, seed ${seed}`, () => {
  it(`loses nothing that was acknowledged in ${ROUNDS} rounds, and invents nothing`, { timeout: 300_000 }, async () => {
    const random = new SeededRandom(seed);
    const kinds = [TransactionClient, RespClient, RespClient, KeyedHttpClient, PlainHttpClient, RespClient];
    const clients = kinds.map((Kind, index) => new Kind(index, new SeededRandom(seed + index)));
    const standings = clients.map((): Standing => ({ own: 0n, digit: 0n }));
    const data = join(root, 'data');
    // Small, so that snapshots and new segments are under way when it is killed.
    const flags = ['--snapshot-journal-bytes', '256KiB'];
    let server = await ServerProcess.start({ data, flags });
    for (let round = 0; round < ROUNDS; round++) {
      const running = clients.map((client) => client.run(server, UPDATES_PER_ROUND_MAX));
      await delay(random.below(ROUND_MS_MAX));
      await Promise.all([server.end('SIGKILL'), ...running]);
      server = await ServerProcess.start({ data, flags });
      await check(server, clients, standings, `seed ${seed}, round ${round}`);
    }
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await runTallyd(['verify', data])).toMatchObject({ code: 0 });
    for (const { own } of standings) expect(own).toBeGreaterThan(0n);
  });
});

/** Compares what the server holds now with what each client knows, and takes it as the next round's beginning. */
async function check(
  server: ServerProcess,
  clients: readonly CountingClient[],
  standings: readonly Standing[],
  where: string,
): Promise<void> {
  for (const client of clients) await client.settle(server);
  const owns = await readCounts(
    server,
    clients.map(({ own }) => own),
  );
  const totals = await readCounts(
    server,
    clients.map(({ shared }) => shared),
  );
  for (const [at, client] of clients.entries()) {
    const standing = standings[at] as Standing;
    const own = (owns[at] as bigint) - standing.own;
    const digit = client.digitOf(totals[at] as bigint) - standing.digit;
    const least = BigInt(client.acknowledged);
    const most = BigInt(client.attempted);
    for (const [what, counted] of Object.entries({ own, digit })) {
      const message = `${where}: ${client.own}, ${what}: ${least} acknowledged, ${counted} counted, ${most} attempted`;
      expect(counted >= least && counted <= most, message).toBe(true);
    }
    if (client instanceof TransactionClient || client instanceof KeyedHttpClient) {
      expect(digit, `${where}: ${client.own} is all or nothing`).toBe(own);
    }
    if (client instanceof KeyedHttpClient) {
      expect(own, `${where}: ${client.own} has asked until it was answered`).toBe(most);
    }
    standing.own += own;
    standing.digit += digit;
    client.attempted = 0;
    client.acknowledged = 0;
  }
}
