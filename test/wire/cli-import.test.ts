// Imports end to end, with the built CLI and the real server: every value equals the independently computed sum, once,
// whatever is imported again and whoever is killed in the middle.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TallydClient } from '../../src/client/client.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';
import { CliProcess, type CliResult, cli } from './cli-process.ts';
import { readEvents } from './events.ts';
import { ServerProcess, stopServers } from './server-process.ts';

const events = readEvents(seed);
const CHUNK_LINES = 5_000;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-import-'));
});
afterEach(async () => {
  await stopServers();
  await rm(directory, { recursive: true, force: true });
});

async function startServer(flags: readonly string[] = []): Promise<{ server: ServerProcess; url: string }> {
  const server = await ServerProcess.start({ data: join(directory, 'data'), flags });
  return { server, url: `http://127.0.0.1:${server.http?.port}` };
}

async function valuesAt(url: string): Promise<Map<string, bigint>> {
  const values = new Map<string, bigint>();
  for await (const { name, value } of new TallydClient({ url }).list()) values.set(name, value);
  return values;
}

function summaryOf({ code, stdout, stderr }: CliResult): Record<string, unknown> {
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Feeds lines in small pieces, so that a kill can fall anywhere in them. */
async function feedSlowly(process: CliProcess, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 500) {
    await process.feed(`${events.lines.slice(i, Math.min(i + 500, to)).join('\n')}\n`);
    await pause(2);
  }
}

describe(`import, seed ${seed}`, () => {
  it('gives every counter its sum, from a pipe and from a gzipped file, and counts nothing the second time', async () => {
    const { url } = await startServer();
    const env = { TALLYD_URL: url };
    const first = summaryOf(await cli(['import', '-', '--json'], env, events.text));
    const lines = events.lines.length;
    expect(first).toEqual({
      complete: true,
      lines,
      applied: lines,
      alreadyImported: 0,
      duplicateIds: 0,
      refused: 0,
      sum: Number(events.total),
    });
    expect(await valuesAt(url)).toEqual(events.sums);

    const file = join(directory, 'events.gz');
    await writeFile(file, gzipSync(events.text));
    const second = summaryOf(await cli(['import', file, '--json'], env));
    expect(second).toMatchObject({ complete: true, lines, applied: 0, alreadyImported: lines, sum: 0 });
    const withoutIds = summaryOf(await cli(['import', file, '--json', '--no-ids'], env));
    expect(withoutIds).toMatchObject({ applied: 0, alreadyImported: lines });
    expect(await valuesAt(url)).toEqual(events.sums);

    const again = summaryOf(await cli(['import', file, '--json', '--again'], env));
    expect(again).toMatchObject({ applied: lines, alreadyImported: 0 });
    expect(await valuesAt(url)).toEqual(new Map([...events.sums].map(([name, sum]) => [name, 2n * sum])));
  });

  it('is known again after a restart, a snapshot and a kill', async () => {
    const { server, url } = await startServer();
    await cli(['import', '-'], { TALLYD_URL: url }, events.text);
    expect(await cli(['snapshot'], { TALLYD_URL: url })).toMatchObject({ code: 0, stderr: '' });
    await server.end('SIGKILL');
    const after = await startServer();
    const summary = summaryOf(await cli(['import', '-', '--json'], { TALLYD_URL: after.url }, events.text));
    expect(summary).toMatchObject({ applied: 0, alreadyImported: events.lines.length });
    expect(await valuesAt(after.url)).toEqual(events.sums);
  });

  it('whose client is killed in the middle is completed by importing again', async () => {
    const random = new SeededRandom(seed);
    const { url } = await startServer();
    for (let round = 0; round < 4; round++) {
      const importing = new CliProcess(['import', '-'], { TALLYD_URL: url });
      // Its stdin stays open, so it cannot come to its end.
      const feeding = feedSlowly(importing, 0, 1 + random.below(events.lines.length));
      await pause(150 + random.below(300));
      await importing.kill();
      await feeding;
    }
    const last = new CliProcess(['import', '-'], { TALLYD_URL: url });
    await last.feed(events.text);
    while ((await valuesAt(url)).size === 0) await pause(10);
    await last.kill();

    const summary = summaryOf(await cli(['import', '-', '--json'], { TALLYD_URL: url }, events.text));
    expect(summary['alreadyImported']).toBeGreaterThan(0);
    expect(await valuesAt(url), `seed ${seed}`).toEqual(events.sums);
  });

  it('goes on by itself when the server is killed in the middle and comes back', async () => {
    const random = new SeededRandom(seed);
    let { server, url } = await startServer();
    const importing = new CliProcess(['import', '-', '--json'], { TALLYD_URL: url });
    const lines = events.lines.length;
    const kills = 3;
    for (let round = 0; round < kills; round++) {
      const from = Math.floor((lines * round) / kills);
      const feeding = feedSlowly(importing, from, Math.floor((lines * (round + 1)) / kills));
      await pause(random.below(200));
      await server.end('SIGKILL');
      server = (await startServer(['--http', url.slice('http://'.length)])).server;
      await feeding;
    }
    const summary = summaryOf(await importing.finish());
    expect(summary, `seed ${seed}`).toMatchObject({ complete: true, lines, refused: 0 });
    expect(Number(summary['applied']) + Number(summary['alreadyImported'])).toBe(lines);
    expect(await valuesAt(url), `seed ${seed}`).toEqual(events.sums);
  });

  it('that is interrupted says that a rerun is safe, and is completed by one', async () => {
    const { url } = await startServer();
    const process = new CliProcess(['import', '-'], { TALLYD_URL: url });
    await feedSlowly(process, 0, 2 * CHUNK_LINES + 100);
    while ((await valuesAt(url)).size === 0) await pause(20);
    const { code, stderr } = await process.kill('SIGINT');
    expect([code, stderr]).toEqual([
      130,
      expect.stringMatching(/interrupted after \d+ lines; go on with the same command/),
    ]);
    summaryOf(await cli(['import', '-', '--json'], { TALLYD_URL: url }, events.text));
    expect(await valuesAt(url)).toEqual(events.sums);
  });

  it('says that nobody listens, and does not wait for a restart that it has not seen begin', async () => {
    const { server, url } = await startServer();
    await server.end('SIGKILL');
    const { code, stderr } = await cli(['import', '-'], { TALLYD_URL: url }, events.text);
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringContaining('unreachable') });
    // A test is given up after a minute, which is as long as it waits once it has seen a server.
  });

  it('that stops at a malformed line is completed when the line is mended', async () => {
    const { url } = await startServer();
    const bad = [...events.lines];
    const at = CHUNK_LINES + 10;
    bad[at] = '{"name":"x","by":1.5}';
    const stopped = await cli(['import', '-'], { TALLYD_URL: url }, bad.join('\n'));
    expect([stopped.code, stopped.stderr]).toEqual([1, expect.stringContaining(`stdin:${at + 1}: "by" must be`)]);
    const summary = summaryOf(await cli(['import', '-', '--json'], { TALLYD_URL: url }, events.text));
    expect(summary).toMatchObject({ alreadyImported: CHUNK_LINES, applied: events.lines.length - CHUNK_LINES });
    expect(await valuesAt(url)).toEqual(events.sums);
  });

  it('counts an id once, in whatever file it comes, and each time with --no-ids', async () => {
    const { url } = await startServer();
    const env = { TALLYD_URL: url };
    const event = (by: number) => `{"name":"orders","by":${by},"id":"order-1"}\n`;
    await cli(['import', '-'], env, `${event(5)}${event(5)}`);
    const other = summaryOf(await cli(['import', '-', '--json'], env, `{"name":"other","by":1}\n${event(5)}`));
    expect(other).toMatchObject({ applied: 1, duplicateIds: 1, sum: 1 });
    const again = ['import', '-', '--json', '--no-ids', '--again'];
    const { code, stdout } = await cli(again, env, `\n${event(5)}${event(5)}${event(5)}`);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ applied: 3, sum: 15 });
    expect((await valuesAt(url)).get('orders')).toBe(20n);
    const mismatch = await cli(['import', '-'], env, event(6));
    expect([mismatch.code, mismatch.stderr]).toEqual([1, expect.stringContaining('idempotency_mismatch')]);
  });

  it('tells and keeps the lines that a policy refuses', async () => {
    const config = join(directory, 'config.yaml');
    await writeFile(config, 'policies:\n  - match: "stock:*"\n    floor: 0\n');
    const { url } = await startServer(['--config', config]);
    const refused = join(directory, 'refused.ndjson');
    const text = '{"name":"stock:1","by":2}\n{"name":"stock:1","by":-3}\n{"name":"free","by":-3}\n';
    const { code, stdout, stderr } = await cli(['import', '-', '--refused', refused], { TALLYD_URL: url }, text);
    expect(code).toBe(1);
    expect(stderr).toContain('stdin:2: stock:1: below_floor');
    expect(stdout).toContain('refused           1');
    expect((await cli(['import', refused], { TALLYD_URL: url })).code).toBe(1);
    expect(await valuesAt(url)).toEqual(
      new Map([
        ['stock:1', 2n],
        ['free', -3n],
      ]),
    );
  });
});

describe('export', () => {
  it('imported into a fresh server gives the same values, whatever the names hold', async () => {
    const { url } = await startServer();
    const env = { TALLYD_URL: url };
    const odd = ['"', '\\', 'a\nb', '\0', '..', 'é', '😀', ' ', '-x', 'n'.repeat(255)];
    const amounts = [9_223_372_036_854_775_807n, -9_223_372_036_854_775_808n, 9_007_199_254_740_993n, 0n];
    const updates = odd.map((name, i) => ({ name, by: amounts[i % amounts.length] ?? 1n }));
    await new TallydClient({ url }).batch(updates);
    await cli(['import', '-'], env, events.text);
    const exported = await cli(['export'], env);
    expect(exported).toMatchObject({ code: 0, stderr: '' });

    const other = await ServerProcess.start({ data: join(directory, 'other') });
    const otherUrl = `http://127.0.0.1:${other.http?.port}`;
    expect((await cli(['import', '-', '--url', otherUrl], {}, exported.stdout)).code).toBe(0);
    expect(await valuesAt(otherUrl)).toEqual(await valuesAt(url));
    expect(await valuesAt(otherUrl)).toEqual(
      new Map([...events.sums, ...updates.map(({ name, by }) => [name, by] as const)]),
    );
  });
});
