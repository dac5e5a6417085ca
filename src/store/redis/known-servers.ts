/** What a cluster, or Sentinels, have named besides the servers in the URL: these may all be gone one day. */
import type { RedisAddress, RedisUrl } from './redis-url.ts';

/** Where they are kept from one process to the next: see `server/server-file.ts`. */
export interface ServerMemory {
  /** What was kept for this place. It is input. */
  read(place: string): readonly string[];
  /** Takes the place of what was kept before. */
  keep(place: string, servers: readonly string[]): void;
}

/** Few stores have as many servers; a file of any size has no more. */
export const SERVERS_MAX = 64;
const ADDRESS = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([^\s:,@/?[\]]{1,253})):(\d{1,5})$/;
const PORT_MAX = 65_535;

export class KnownServers {
  readonly #memory: ServerMemory | undefined;
  /** What the URL says, without its secrets: under another one other servers are meant. */
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

  /** What was named last. Where nothing was, what was named before stays. */
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
