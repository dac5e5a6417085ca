// What the files of deploy/ must agree on. Each check returns complaints; deploy.test.ts breaks every file once to see
// that they come.

import { existsSync, readFileSync } from 'node:fs';
import { BlockList } from 'node:net';
import { join, posix } from 'node:path';
import { SETTINGS, variableOf } from '../../src/server/settings.ts';
import {
  type Compose,
  dependenciesOf,
  networksOf,
  nodesOf,
  ROOT,
  readCompose,
  readPrometheus,
  readSections,
  type Service,
  type Texts,
} from './files.ts';

export type Check = (texts: Texts) => string[];

/** Variables that are no setting of the server. */
const OTHER_VARIABLES = ['TALLYD_SECRET', 'TALLYD_CONFIG', 'TALLYD_URL'];
export const VARIABLES = [...SETTINGS.map(({ key }) => variableOf(key)), ...OTHER_VARIABLES];

/** `complain(condition that must hold, what else)`. */
class Complaints {
  readonly all: string[] = [];
  unless(holds: boolean, complaint: string): void {
    if (!holds) this.all.push(complaint);
  }
}

const portOf = (address: string | undefined): string => address?.split(':').at(-1) ?? '';
const same = (a: readonly string[], b: readonly string[]): boolean => [...a].sort().join() === [...b].sort().join();

function references(texts: Texts): string[] {
  const compose = readCompose(texts);
  const found = new Complaints();
  const used = { networks: new Set<string>(), volumes: new Set<string>(), secrets: new Set<string>() };
  for (const [name, service] of Object.entries(compose.services)) {
    for (const network of networksOf(service)) used.networks.add(network);
    for (const secret of service.secrets ?? []) used.secrets.add(secret);
    for (const volume of service.volumes ?? []) {
      const [source = '', target = ''] = volume.split(':');
      if (source.startsWith('./')) {
        const path = posix.join('deploy', source);
        found.unless(path in texts, `${name}: there is no ${path}`);
        found.unless(volume.endsWith(':ro'), `${name}: ${source} is not mounted read-only`);
      } else used.volumes.add(source);
      found.unless(target.startsWith('/'), `${name}: ${volume} has no target`);
    }
    for (const { name: other, isRequired } of dependenciesOf(service)) {
      const needed = compose.services[other];
      found.unless(needed !== undefined, `${name} waits for ${other}, which is no service`);
      const isOptional = needed?.profiles !== undefined && !same(needed.profiles, service.profiles ?? []);
      found.unless(!isOptional || !isRequired, `${name} requires ${other}, which a profile may leave out`);
    }
    found.unless(service.restart !== undefined, `${name} has no restart policy`);
    found.unless(service.image !== undefined, `${name} has no image`);
    found.unless(networksOf(service).length > 0, `${name} is in no network`);
  }
  for (const kind of ['networks', 'volumes', 'secrets'] as const) {
    const declared = Object.keys(compose[kind]);
    found.unless(same(declared, [...used[kind]]), `${kind}: ${declared} are declared, ${[...used[kind]]} are used`);
  }
  return found.all;
}

function secrets(texts: Texts): string[] {
  const compose = readCompose(texts);
  const found = new Complaints();
  found.unless(texts['deploy/secrets/.gitignore']?.includes('\n*\n') === true, 'deploy/secrets is not ignored');
  for (const [name, { file }] of Object.entries(compose.secrets)) {
    found.unless(file === `./secrets/${name}`, `the secret ${name} is in ${file}`);
    found.unless(texts['docs/deployment.md']?.includes(name) === true, `the page does not tell to make ${name}`);
  }
  for (const [name, service] of Object.entries(compose.services)) {
    const own = (service.secrets ?? []).map((secret) => `/run/secrets/${secret}`);
    for (const [key, value] of Object.entries(service.environment ?? {})) {
      found.unless(!/PASSWORD|SECRET/.test(key) || key.endsWith('_FILE'), `${name}: ${key} holds a secret itself`);
      found.unless(!key.endsWith('_FILE') || own.includes(value), `${name}: ${key} is ${value}, no secret of its own`);
    }
    const scripts = (service.volumes ?? []).map((volume) => texts[posix.join('deploy', volume.split(':')[0] ?? '')]);
    const text = [service, ...scripts].map((part) => JSON.stringify(part) ?? '').join();
    for (const [, secret] of text.matchAll(/(?:\/run\/secrets\}?|\$secrets)\/(\w+)/g)) {
      found.unless(own.includes(`/run/secrets/${secret}`), `${name} reads ${secret}, no secret of its own`);
    }
  }
  return found.all;
}

function nodes(texts: Texts): string[] {
  const compose = readCompose(texts);
  const found = new Complaints();
  const all = nodesOf(compose);
  found.unless(all.length >= 3, 'there are fewer than three nodes');
  const volumes = all.map(([, { volumes: mounted = [] }]) => mounted.find((one) => one.endsWith(':/data')) ?? 'none');
  found.unless(new Set(volumes).size === all.length, `the nodes share volumes: ${volumes}`);
  found.unless(!volumes.includes('none'), 'a node has no volume at /data');
  for (const [name, { hostname, stop_grace_period: grace = '', build, ports, entrypoint }] of all) {
    found.unless(hostname === name, `${name}: the host name is ${hostname}, which changes with the container`);
    found.unless(
      /^\d+s$/.test(grace) && Number.parseInt(grace, 10) > 10,
      `${name}: a stop gets ${grace}, and takes 10 s`,
    );
    found.unless(build?.context === '..' && build.dockerfile in texts, `${name}: there is no ${build?.dockerfile}`);
    found.unless(ports === undefined, `${name} has ports of its own`);
    const script = entrypoint?.at(-1) ?? '';
    const mounts = compose.services[name]?.volumes?.map((volume) => volume.split(':')[1]) ?? [];
    found.unless(mounts.includes(script), `${name}: ${script} is not mounted`);
  }
  return found.all;
}

function loadBalancer(texts: Texts): string[] {
  const compose = readCompose(texts);
  const sections = readSections(texts);
  const found = new Complaints();
  const all = nodesOf(compose);
  const [, first] = all[0] ?? ['', {} as Service];
  const httpPort = portOf(first.environment?.['TALLYD_HTTP']);
  const published = compose.services['load-balancer']?.ports?.map((port) => port.split(':').at(-1) ?? '') ?? [];
  const bound: string[] = [];
  for (const door of ['http', 'resp']) {
    const port = portOf(first.environment?.[`TALLYD_${door.toUpperCase()}`]);
    const front = sections.get(`frontend ${door}`) ?? [];
    bound.push(...front.filter(([word]) => word === 'bind').map(([, address]) => portOf(address)));
    const target = front.find(([word]) => word === 'default_backend')?.[1];
    const back = sections.get(`backend ${target}`) ?? [];
    const servers = back.filter(([word]) => word === 'server');
    const expected = all.map(([name]) => `${name}:${port}`);
    const listed = servers.map(([, , address = '']) => address);
    found.unless(same(listed, expected), `${door}: the servers are ${listed}, the nodes ${expected}`);
    for (const [, name, address = '', ...options] of servers) {
      found.unless(address.startsWith(`${name}:`), `${door}: the server ${name} is at ${address}`);
      const checked = options.includes('port') ? options[options.indexOf('port') + 1] : port;
      found.unless(checked === httpPort, `${door}: ${name} is checked on ${checked}, not at the HTTP door`);
    }
    const modes = [front, back].map((lines) => lines.find(([word]) => word === 'mode')?.[1]);
    found.unless(
      same(modes as string[], door === 'http' ? ['http', 'http'] : ['tcp', 'tcp']),
      `${door}: mode ${modes}`,
    );
  }
  found.unless(same(bound, published), `HAProxy listens on ${bound}, compose publishes ${published}`);
  const connections = Number(sections.get('global')?.find(([word]) => word === 'maxconn')?.[1]);
  const files = compose.services['load-balancer']?.ulimits?.nofile ?? 0;
  found.unless(
    files > 2 * connections,
    `${connections} connections take twice as many files, and it may open ${files}`,
  );
  const defaults = (sections.get('defaults') ?? []).map((words) => words.join(' '));
  found.unless(
    defaults.some((line) => line.startsWith('http-check send') && line.includes(' uri /readyz ')),
    'the nodes are not asked for /readyz',
  );
  found.unless(
    defaults.some((line) => /^default-server check\b/.test(line)),
    'the servers are not checked',
  );
  return found.all;
}

function prometheus(texts: Texts): string[] {
  const compose = readCompose(texts);
  const { scrape_configs: jobs } = readPrometheus(texts);
  const found = new Complaints();
  const service = compose.services['prometheus'] ?? {};
  const expected = nodesOf(compose).map(([name, { environment }]) => `${name}:${portOf(environment?.['TALLYD_HTTP'])}`);
  const targets = jobs.flatMap((job) => job.static_configs.flatMap((one) => one.targets));
  found.unless(same(targets, expected), `Prometheus scrapes ${targets}, the nodes are ${expected}`);
  const own = (service.secrets ?? []).map((secret) => `/run/secrets/${secret}`);
  for (const { authorization, metrics_path: path = '/metrics' } of jobs) {
    found.unless(authorization.type === 'Bearer', `the secret is sent as ${authorization.type}`);
    found.unless(own.includes(authorization.credentials_file), `no such secret: ${authorization.credentials_file}`);
    found.unless(routes().includes(`'${path}'`), `the server has no route ${path}`);
  }
  const config = service.command?.find((word) => word.startsWith('--config.file='))?.split('=')[1];
  const mounts = service.volumes?.map((volume) => volume.split(':')[1]) ?? [];
  found.unless(config !== undefined && mounts.includes(config), `${config} is not mounted`);
  return found.all;
}

function redisCluster(texts: Texts): string[] {
  const compose = readCompose(texts);
  const found = new Complaints();
  const servers = Object.entries(compose.services).filter(([name]) => /^redis-\d$/.test(name));
  found.unless(servers.length === 6, `${servers.length} servers make no cluster of three pairs`);
  const addresses = servers.map(([, { networks }]) => addressIn(networks));
  const created = compose.services['redis-create']?.command?.filter((word) => /^\d/.test(word)) ?? [];
  found.unless(
    same(
      created,
      addresses.map((address) => `${address}:6379`),
    ),
    `the cluster is made of ${created}, the servers are ${addresses}`,
  );
  const { subnet = '', ip_range: range = '' } = compose.networks['store']?.ipam?.config[0] ?? {};
  for (const address of addresses) {
    found.unless(isWithin(address, subnet), `${address} is not in ${subnet}`);
    found.unless(!isWithin(address, range), `${address} may be given to another container: it is in ${range}`);
  }
  const volumes = servers.map(([, service]) => service.volumes?.find((volume) => volume.endsWith(':/data')));
  found.unless(new Set(volumes).size === servers.length, `the servers share volumes: ${volumes}`);
  const waited = dependenciesOf(compose.services['redis-create'] ?? {}).map(({ name }) => name);
  const names = servers.map(([name]) => name);
  found.unless(same(waited, names), `the cluster is made when ${waited} are there`);
  for (const [name, { command, volumes: mounted = [] }] of servers) {
    const config = /redis-server (\S+)/.exec(command?.join(' ') ?? '')?.[1] ?? '';
    found.unless(mounted.includes(`./redis.conf:${config}:ro`), `${name}: ${config} is not mounted`);
  }
  const lines = (texts['deploy/redis.conf'] ?? '').split('\n');
  for (const line of ['port 6379', 'cluster-enabled yes', 'maxmemory-policy noeviction', 'appendonly yes']) {
    found.unless(lines.includes(line), `redis.conf does not say ${line}`);
  }
  return found.all;
}

function addressIn(networks: Service['networks']): string {
  if (networks === undefined || Array.isArray(networks)) return 'no address';
  return (networks as Record<string, { ipv4_address?: string }>)['store']?.ipv4_address ?? 'no address';
}

function isWithin(address: string, network: string): boolean {
  const [base = '', bits = ''] = network.split('/');
  const list = new BlockList();
  list.addSubnet(base, Number(bits));
  return list.check(address);
}

/** Where the routes of operators are registered. */
export function routes(): string {
  return readFileSync(join(ROOT, 'src/gateway/http/operations.ts'), 'utf8');
}

function words(texts: Texts): string[] {
  const compose = readCompose(texts);
  const found = new Complaints();
  for (const [path, text] of Object.entries(texts)) {
    for (const [name] of text.matchAll(/\bTALLYD_[A-Z_]+\b/g)) {
      found.unless(VARIABLES.includes(name), `${path}: there is no variable ${name}`);
    }
  }
  const page = texts['docs/deployment.md'] ?? '';
  const flags = SETTINGS.map(({ key }) => `--${key}`);
  for (const [, flag = ''] of page.matchAll(/`(--[a-z-]+)[^`]*`(?! does not do it)/g)) {
    found.unless(flags.includes(flag) || flag === '--profile', `the page: there is no option ${flag}`);
  }
  for (const [, service = ''] of page.matchAll(/docker compose (?:exec|stop) ([\w-]+)/g)) {
    found.unless(service in compose.services, `the page: there is no service ${service}`);
  }
  for (const name of Object.keys(compose.services)) {
    found.unless(/^redis-[2-5]$/.test(name) || page.includes(`\`${name}\``), `the page does not name ${name}`);
  }
  for (const [, path = ''] of page.matchAll(/`((?:deploy|test|docs)\/[\w./-]+)`/g)) {
    found.unless(existsSync(join(ROOT, path)), `the page: there is no ${path}`);
  }
  return found.all;
}

export const CHECKS = { references, secrets, nodes, loadBalancer, prometheus, redisCluster, words };

/** The commands of tallyd that are named anywhere, each once: in compose, in the Dockerfile's CMD and on the page. */
export function commandsOf(texts: Texts, compose: Compose): string[] {
  const named = nodesOf(compose).map(([, { command = [] }]) => command.slice(1).join(' '));
  const [, cmd = '[]'] = /^CMD (.*)$/m.exec(texts['deploy/Dockerfile'] ?? '') ?? [];
  const written = [...(texts['docs/deployment.md'] ?? '').matchAll(/(?<=[` ])tallyd ((?:[a-z]+ ?)+)/g)];
  const fromImage = (JSON.parse(cmd) as string[]).join(' ');
  return [...new Set([...named, fromImage, ...written.map(([, text = '']) => text.trim())])];
}
