// The files of deploy/ without a container engine: they agree with each other, with docs/deployment.md and with the
// server; and every check is seen to complain about a file that was broken for it.

import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main as cliMain } from '../src/cli/main.ts';
import { loadConfig } from '../src/server/config.ts';
import { main as serverMain } from '../src/server/main.ts';
import { parseRedisUrl } from '../src/store/redis/redis-url.ts';
import { CHECKS, commandsOf } from './deploy/agreement.ts';
import { nodesOf, ROOT, readCompose, readTexts, type Texts, variables } from './deploy/files.ts';
import { checkImage, healthCheck } from './deploy/image.ts';
import { TestDoor } from './http/door.ts';
import { lacks } from './programs.ts';

const TEXTS = readTexts();
const ALL = { ...CHECKS, image: checkImage };
type CheckName = keyof typeof ALL;
const PASSWORD = '0123456789abcdef';

let secrets = '';
beforeAll(() => {
  secrets = mkdtempSync(join(tmpdir(), 'tallyd-deploy-'));
  for (const name of Object.keys(readCompose(TEXTS).secrets)) {
    writeFileSync(join(secrets, name), `${PASSWORD}\n`, { mode: 0o600 });
  }
});
afterAll(() => rmSync(secrets, { recursive: true }));

it.each(Object.keys(ALL) as CheckName[])('the files agree: %s', (name) => {
  expect(ALL[name](TEXTS)).toEqual([]);
});

const COMPOSE = 'deploy/compose.yaml';
const PAGE = 'docs/deployment.md';
const HAPROXY = 'deploy/haproxy.cfg';
const DOCKERFILE = 'deploy/Dockerfile';
const BROKEN: readonly [CheckName, string, string, string, string][] = [
  ['references', COMPOSE, 'networks: [nodes, store]', 'networks: [nodes, shop]', 'networks'],
  ['references', COMPOSE, '  tallyd-2:\n  tallyd-3:\n', '  tallyd-2:\n', 'volumes'],
  ['references', COMPOSE, './haproxy.cfg:', './nginx.conf:', 'there is no deploy/nginx.conf'],
  [
    'references',
    COMPOSE,
    'condition: service_healthy, required: false',
    'condition: service_healthy',
    'requires postgres',
  ],
  ['references', COMPOSE, '    depends_on: [tallyd-1,', '    depends_on: [tally-1,', 'no service'],
  ['references', COMPOSE, '    restart: "no"\n', '', 'no restart policy'],
  ['secrets', COMPOSE, 'POSTGRES_PASSWORD_FILE: /run/secrets/postgres_password', 'POSTGRES_PASSWORD: x', 'itself'],
  ['secrets', COMPOSE, 'secrets: [tallyd_secret, postgres_password', 'secrets: [tallyd_secret', 'no secret of its own'],
  ['secrets', COMPOSE, 'file: ./secrets/redis_password', 'file: ./redis_password', 'is in ./redis_password'],
  ['secrets', 'deploy/secrets/.gitignore', '\n*\n', '\n', 'not ignored'],
  ['nodes', COMPOSE, 'hostname: tallyd-2', 'hostname: tallyd-1', 'tallyd-2: the host name'],
  ['nodes', COMPOSE, 'tallyd-3:/data', 'tallyd-1:/data', 'share volumes'],
  ['nodes', COMPOSE, 'stop_grace_period: 20s', 'stop_grace_period: 10s', 'a stop gets 10s'],
  ['nodes', COMPOSE, '/etc/tallyd/with-store.sh]', '/etc/with-store.sh]', 'not mounted'],
  ['loadBalancer', HAPROXY, 'tallyd-2:7070', 'tallyd-1:7070', 'http: the servers are'],
  ['loadBalancer', HAPROXY, 'tallyd-3:7379 port 7070', 'tallyd-3:7379', 'checked on 7379'],
  ['loadBalancer', HAPROXY, 'bind :7379', 'bind :6379', 'HAProxy listens on'],
  ['loadBalancer', HAPROXY, 'uri /readyz', 'uri /ready', 'not asked for /readyz'],
  ['loadBalancer', HAPROXY, 'maxconn 20000', 'maxconn 40000', 'twice as many files'],
  ['loadBalancer', COMPOSE, 'TALLYD_RESP: 0.0.0.0:7379', 'TALLYD_RESP: 0.0.0.0:6379', 'resp: the servers are'],
  ['prometheus', 'deploy/prometheus.yaml', 'tallyd-3:7070', 'tallyd-4:7070', 'Prometheus scrapes'],
  ['prometheus', 'deploy/prometheus.yaml', 'secrets/tallyd_secret', 'secrets/tallyd', 'no such secret'],
  [
    'prometheus',
    COMPOSE,
    '--config.file=/etc/prometheus/prometheus.yaml',
    '--config.file=/prometheus.yaml',
    'not mounted',
  ],
  ['redisCluster', COMPOSE, '- 172.30.79.14:6379', '- 172.30.79.24:6379', 'the cluster is made of'],
  ['redisCluster', COMPOSE, 'ip_range: 172.30.79.128/25', 'ip_range: 172.30.79.0/25', 'another container'],
  ['redisCluster', COMPOSE, 'redis-5:/data', 'redis-4:/data', 'share volumes'],
  ['redisCluster', 'deploy/redis.conf', 'noeviction', 'allkeys-lru', 'noeviction'],
  ['words', COMPOSE, 'TALLYD_ACK:', 'TALLYD_ACKS:', 'no variable TALLYD_ACKS'],
  ['words', PAGE, '`--ack store`', '`--acks store`', 'no option --acks'],
  ['words', PAGE, 'compose exec tallyd-1 ', 'compose exec tallyd-one ', 'no service tallyd-one'],
  ['words', PAGE, '`redis-create`', '`redis-make`', 'does not name redis-create'],
  ['image', DOCKERFILE, 'COPY tsconfig.json', 'COPY tsconfig.build.json', 'no tsconfig.build.json'],
  ['image', 'deploy/Dockerfile.dockerignore', '!bin\n', '', 'bin is not let in'],
  ['image', DOCKERFILE, 'COPY --from=build /build/packages ./packages\n', '', 'packages does not come into the image'],
  ['image', DOCKERFILE, '/build/dist', '/src/dist', 'does not make /src/dist'],
  ['image', DOCKERFILE, 'COPY bin ./bin\n', '', 'bin does not come'],
  ['image', DOCKERFILE, 'bin/tallyd.js', 'bin/tallyd', 'is not linked'],
  ['image', DOCKERFILE, 'USER node\n', '', 'runs as root'],
  ['image', DOCKERFILE, 'STOPSIGNAL SIGTERM', 'STOPSIGNAL SIGKILL', 'SIGTERM'],
  ['image', DOCKERFILE, 'TALLYD_DATA=/data', 'TALLYD_DATA=/var/data', 'the data is in'],
  ['image', DOCKERFILE, 'in pg redis;', 'in pg;', 'redis is not installed'],
  ['image', DOCKERFILE, 'EXPOSE 7070 7379', 'EXPOSE 7070', 'the ports are'],
  ['image', DOCKERFILE, '7070/livez', '7070/health', 'health is asked for'],
  ['image', DOCKERFILE, 'FROM node:26-slim AS build', 'FROM node:20-slim AS build', 'not Node 26'],
];

function broken(path: string, from: string, to: string): Texts {
  const text = TEXTS[path] ?? '';
  expect(text, `${path} has what is to be broken`).toContain(from);
  return { ...TEXTS, [path]: text.replaceAll(from, to) };
}

it.each(BROKEN)('%s complains when %s has, instead of %j, %j', (name, path, from, to, complaint) => {
  expect(ALL[name](broken(path, from, to)).join('\n')).toContain(complaint);
});

describe.each(['postgres', 'redis'])('with the store %s', (profile) => {
  const compose = readCompose(TEXTS, { ...variables(TEXTS), COMPOSE_PROFILES: profile });
  const start = (environment: Readonly<Record<string, string>>) =>
    spawnSync('sh', ['deploy/with-store.sh', 'sh', '-c', 'printf %s "$TALLYD_STORE"'], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], SECRETS: secrets, ...environment },
      encoding: 'utf8',
    });

  it('a server takes the settings of every node', async () => {
    const services = Object.keys(compose.services);
    for (const [, { environment = {} }] of nodesOf(compose)) {
      const { stdout: store, stderr } = start(environment);
      expect(stderr).toBe('');
      const secretFile = { TALLYD_SECRET_FILE: join(secrets, 'tallyd_secret') };
      const config = await loadConfig({}, { ...environment, ...secretFile, TALLYD_STORE: store });
      const region = { url: store, ack: 'journal', memoryBytes: 512 * 2 ** 20 };
      expect(config).toMatchObject({ region, warnings: [] });
      expect(config.doors.secret?.matches(Buffer.from(PASSWORD))).toBe(true);
      expect(store).toContain(`:${PASSWORD}@`);
      const hosts =
        profile === 'redis' ? parseRedisUrl(store).addresses.map(({ host }) => host) : [new URL(store).hostname];
      for (const host of hosts) {
        expect(services).toContain(host);
        expect(compose.services[host]?.profiles).toEqual([profile]);
      }
      expect(hosts).toHaveLength(profile === 'redis' ? 6 : 1);
    }
  });
});

it('a node that is told another store does not start', () => {
  const { status, stderr } = spawnSync('sh', ['deploy/with-store.sh', 'true'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], STORE: 'postgres,redis' },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([2, expect.stringContaining('COMPOSE_PROFILES')]);
});

it('every command that is named exists', async () => {
  const named = commandsOf(TEXTS, readCompose(TEXTS));
  expect(named).toEqual(expect.arrayContaining(['serve', 'node list', 'node retire', 'export']));
  const unknown: string[] = [];
  for (const command of [...named, 'node nonsense', 'nonsense']) if (!(await exists(command))) unknown.push(command);
  expect(unknown).toEqual(['node nonsense', 'nonsense']);
});

/** Whether the help of a command is its own: an unknown one gets that of what stands before it. */
async function exists(command: string): Promise<boolean> {
  const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockReturnValue(true));
  try {
    const isServer = /^(serve|verify|node)\b/.test(command);
    await (isServer ? serverMain : cliMain)([...command.split(' '), '--help']);
    return spies.some(({ mock }) => mock.calls.join('').includes(`Usage: tallyd ${command} `));
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

it('the health check tells a server that lives from one that does not', async () => {
  const door = await TestDoor.open();
  const [, ...args] = healthCheck(TEXTS, door.port);
  const run = promisify(execFile);
  await expect(run(process.execPath, args)).resolves.toBeDefined();
  await door.close();
  await expect(run(process.execPath, args)).rejects.toMatchObject({ code: 1 });
});

it.skipIf(lacks('haproxy'))('HAProxy takes its file', () => {
  const { status, stderr } = spawnSync('haproxy', ['-c', '-f', join(ROOT, HAPROXY)], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, expect.any(String)]);
});
