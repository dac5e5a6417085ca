/**
 * Where a Redis store is, as one line of configuration:
 *
 *     redis://host:6379                            one server; a node of a cluster leads to the whole cluster
 *     redis://host:6379,host:6379,host:6379        seeds of a cluster
 *     redis+sentinel://host:26379,host:26379/name  the master that these Sentinels call `name`
 *
 * `rediss://` and `rediss+sentinel://` mean TLS, and then `?cacert=FILE&cert=FILE&key=FILE` may follow, named as the
 * options of redis-cli. `user:password@` comes before the first host (escaped as in every URL), and a single server may
 * have a database number: `redis://host/2`.
 */
import { StoreRefusal } from '../slot-store.ts';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface Credentials {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** PEM files. */
export interface TlsFiles {
  /** The trusted CAs, instead of those of Node.js. */
  readonly cacert?: string;
  /** The client certificate and its key. */
  readonly cert?: string;
  readonly key?: string;
}

export interface RedisUrl extends Credentials {
  readonly addresses: readonly RedisAddress[];
  /** undefined: no TLS. */
  readonly tls: TlsFiles | undefined;
  /** The name of the master that Sentinels watch; undefined when the addresses are servers. */
  readonly masterName: string | undefined;
  readonly database: number;
}

const FORM = /^(rediss?)(\+sentinel)?:\/\/(?:([^@/]*)@)?([^@/?]+)(?:\/([^/?]*))?(?:\?(.*))?$/;
const HOST = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/;
const PORT_MAX = 65_535;
const TLS_FILES = /^(cacert|cert|key)$/;

/** @throws StoreRefusal for any other form. It does not repeat the URL, which may contain a password. */
export function parseRedisUrl(url: string): RedisUrl {
  const [, scheme, sentinel, userInfo, hosts, path = '', query] = FORM.exec(url) ?? [];
  if (hosts === undefined)
    refuse('write redis://host:port, several hosts with commas, or redis+sentinel://host:port/master');
  const isSentinel = sentinel !== undefined;
  if (isSentinel && path === '') refuse('name the master that the Sentinels watch: redis+sentinel://host:port/master');
  const addresses = hosts.split(',').map((host) => parseAddress(host, isSentinel ? 26379 : 6379));
  if (!isSentinel && !/^\d{0,4}$/.test(path)) refuse('what follows the host is a database number, or nothing');
  const database = isSentinel ? 0 : Number(path);
  if (database > 0 && addresses.length > 1) refuse('a cluster has no numbered databases');
  return {
    addresses,
    tls: parseTls(scheme === 'rediss', query),
    masterName: isSentinel ? decode(path) : undefined,
    database,
    ...parseCredentials(userInfo),
  };
}

function parseAddress(text: string, defaultPort: number): RedisAddress {
  const [, bracketed, plain, port] = HOST.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > PORT_MAX)
    refuse('a host is a name, an IPv4 address, or an IPv6 address in brackets, then :port, at most 65535');
  return { host, port: port === undefined ? defaultPort : Number(port) };
}

function parseCredentials(userInfo: string | undefined): Credentials {
  if (userInfo === undefined) return { username: undefined, password: undefined };
  const [username = '', ...password] = userInfo.split(':');
  return {
    username: username === '' ? undefined : decode(username),
    password: password.length === 0 ? undefined : decode(password.join(':')),
  };
}

function parseTls(isTls: boolean, query: string | undefined): TlsFiles | undefined {
  const files = Object.fromEntries(new URLSearchParams(query));
  const isKnown = Object.entries(files).every(([name, file]) => TLS_FILES.test(name) && file !== '');
  if (!isKnown) refuse('after the question mark come cacert=FILE, cert=FILE and key=FILE, with & between them');
  if (!isTls && query !== undefined) refuse('cacert, cert and key are for TLS: rediss://');
  if ((files['cert'] === undefined) !== (files['key'] === undefined)) refuse('cert and key belong together');
  return isTls ? files : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse('a percent sign in a user, password or master name is written %25');
  }
}

function refuse(advice: string): never {
  throw new StoreRefusal(`the URL of the Redis store cannot be read: ${advice}`);
}
