// The Redis store over TLS, against real servers that take nothing else.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConformanceBench, slotStoreChecks } from '../../src/store/conformance.ts';
import { RedisStore } from '../../src/store/redis/redis-store.ts';
import { StoreError, StoreRefusal } from '../../src/store/slot-store.ts';
import { lacks } from '../programs.ts';
import { freePort } from './free-port.ts';
import { RedisCluster, RedisSentinel } from './redis-cluster.ts';
import { flagsOf, RedisProcess, stopRedisProcesses } from './redis-process.ts';
import { type Certificates, makeCertificates, tlsQuery, tlsSettings } from './redis-tls.ts';
import { runTallyd } from './server-process.ts';

const SECRET = 's3cret';

let directory: string;
let tls: Certificates;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tallyd-redis-tls-'));
  tls = await makeCertificates(directory);
});

afterAll(async () => {
  await stopRedisProcesses();
  rmSync(directory, { recursive: true });
});

/** @returns its port */
async function startServer(settings: Record<string, string> = {}): Promise<number> {
  const port = await freePort();
  await RedisProcess.start(directory, flagsOf({ ...tlsSettings(port, tls), requirepass: SECRET, ...settings }), port);
  return port;
}

/** A cluster whose certificate is of a name, so that it has to be called by it. */
async function startNamedCluster(): Promise<string> {
  const named = await makeCertificates(directory, 'DNS:localhost');
  const settings = {
    'cluster-announce-hostname': 'localhost',
    'cluster-preferred-endpoint-type': 'hostname',
  };
  const cluster = await RedisCluster.start(directory, { access: { host: 'localhost', tls: named }, settings });
  return `rediss://${cluster.seeds('localhost')}${tlsQuery(named)}`;
}

describe.skipIf(lacks('redis-server', 'openssl'))('a store in Redis over TLS', () => {
  const setups = {
    'one server': async () => `rediss://:${SECRET}@127.0.0.1:${await startServer()}${tlsQuery(tls)}`,
    Sentinel: async () => `rediss+sentinel://${(await RedisSentinel.start(directory, tls)).place}${tlsQuery(tls)}`,
    'a cluster': async () => {
      const cluster = await RedisCluster.start(directory, { access: { tls, password: SECRET } });
      return `rediss://:${SECRET}@${cluster.seeds()}${tlsQuery(tls)}`;
    },
    'a cluster that goes by names': startNamedCluster,
  };
  describe.each(Object.entries(setups))('%s', (_, start) => {
    let url: string;
    beforeAll(async () => {
      url = await start();
    });
    const bench: ConformanceBench = {
      connect: () => RedisStore.open({ url, callMs: 5_000 }),
      connectToNothing: async () => RedisStore.open({ url: `rediss://127.0.0.1:${await freePort()}`, callMs: 300 }),
      randomId: () => randomBytes(16).toString('hex'),
    };
    it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
  });

  describe('what does not fit together', () => {
    let port: number;
    let plainPort: number;
    beforeAll(async () => {
      port = await startServer();
      plainPort = (await RedisProcess.start(directory, ['--requirepass', SECRET])).address.port;
    });

    /** What the first call over this URL ends with. */
    async function failure(url: string): Promise<unknown> {
      const store = await RedisStore.open({ url, callMs: 1_000 });
      try {
        return await store.identity().catch((error: unknown) => error);
      } finally {
        await store.close();
      }
    }

    const at = (host: string, files: Partial<Certificates>, scheme = 'rediss') =>
      `${scheme}://:${SECRET}@${host}${scheme === 'redis' ? '' : tlsQuery(files)}`;

    it.each([
      ['another CA', async () => at(`127.0.0.1:${port}`, { ...(await makeCertificates(directory)) }), /CA.*\?cacert=/],
      ['another CA of a cluster', async () => at(`127.0.0.1:${port},127.0.0.1:${port}`, {}), /CA.*\?cacert=/],
      ['no certificate', async () => at(`127.0.0.1:${port}`, { cacert: tls.cacert }), /certificate required/],
      ['another name', async () => at(`localhost:${port}`, tls), /does not match certificate/],
      ['TLS with a plain port', async () => at(`127.0.0.1:${plainPort}`, tls), /without TLS it is redis:\/\//],
      [
        'plain with a TLS port',
        async () => at(`127.0.0.1:${port}`, tls, 'redis'),
        /if it wants TLS, write rediss:\/\//,
      ],
      [
        'plain with TLS ports',
        async () => at(`127.0.0.1:${port},127.0.0.1:${port}`, tls, 'redis'),
        /write rediss:\/\//,
      ],
    ])('%s', async (_, url, expected) => {
      const error = await failure(await url());
      expect(error).toBeInstanceOf(StoreError);
      expect(String(error)).toMatch(expected);
      expect(String(error)).not.toContain(SECRET);
    });

    it('another password is refused', async () => {
      const error = await failure(`rediss://:wr0ng@127.0.0.1:${port}${tlsQuery(tls)}`);
      expect(error).toBeInstanceOf(StoreRefusal);
      expect(String(error)).toMatch(/WRONGPASS/);
      expect(String(error)).not.toContain('wr0ng');
    });

    it('files that are none, or not those', async () => {
      const other = await makeCertificates(directory);
      for (const files of [{ cacert: join(directory, 'none') }, { cert: tls.cert, key: other.key }]) {
        const refusal = await failure(at(`127.0.0.1:${port}`, files)).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(StoreRefusal);
        expect(String(refusal)).toMatch(/files for TLS/);
      }
    });
  });

  it('takes the CA from NODE_EXTRA_CA_CERTS as well', async () => {
    const port = await startServer({ 'tls-auth-clients': 'no' });
    const url = `rediss://:${SECRET}@127.0.0.1:${port}`;
    const list = (environment: Record<string, string>) =>
      runTallyd(['node', 'list'], { TALLYD_STORE: url, ...environment });
    const refused = await list({});
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/\?cacert=/);
    expect(refused.stderr).not.toContain(SECRET);
    expect((await list({ NODE_EXTRA_CA_CERTS: tls.cacert })).code).toBe(0);
  });
});
