/** Servers that a cluster or Sentinels have named besides those in the URL, which may all be gone one day. */
import type { RedisAddress, RedisUrl } from './redis-url.ts';

/** Where they are kept across restarts: see `server/server-file.ts`. */
export interface ServerMemory {
  /** The stored servers for this place; treated as input. */
  read(place: string): readonly string[];
  /** Replaces the stored servers. */
  keep(place: string, servers: readonly string[]): void;
}

/** Few stores have this many servers; no file is read with more. */
export const SERVERS_MAX = 64;
const ADDRESS = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([^\s:,@/?[\]]{1,253})):(\d{1,5})$/;
const PORT_MAX = 65_535;

export class KnownServers {
  readonly #memory: ServerMemory | undefined;
  /** The URL without its secrets; another URL means other servers. */
  readonly #place: string;
  #servers: readonly string[] = [];

  constructor({ addresses, masterName, tls }: RedisUrl, memory: ServerMemory | undefined) {
    this.#memory = memory;
    const scheme = `redis${tls === undefined ? '' : 's'}${masterName === undefined ? '' : '+sentinel'}`;
    this.#place = `${scheme}://${addresses.map(textOf).join()}${masterName === undefined ? '' : `/${masterName}`}`;
    this.#servers = memory?.read(this.#place) ?? [];
  }

  /** What is an address among them. */
  get addresses(): readonly RedisAddress[] {
    return this.#servers.slice(0, SERVERS_MAX).flatMap((text) => parse(text) ?? []);
  }

  /** The servers named last. If none were named, the previous ones stay. */
  named(addresses: readonly RedisAddress[]): void {
    const servers = addresses.slice(0, SERVERS_MAX).map(textOf).sort();
    if (servers.length === 0 || `${servers}` === `${this.#servers}`) return;
    this.#servers = servers;
    this.#memory?.keep(this.#place, servers);
  }
}

function textOf({ host, port }: RedisAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parse(text: string): RedisAddress | undefined {
  const [, v6, name, port] = ADDRESS.exec(text) ?? [];
  const host = v6 ?? name;
  return host === undefined || Number(port) > PORT_MAX ? undefined : { host, port: Number(port) };
}
