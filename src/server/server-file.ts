/**
 * `servers.json`: the servers that a store has named, and what its URL said then. A start reaches the store through them when the
 * servers in the URL are gone. Nothing depends on it: a file that cannot be read is as none, and one that cannot be written is tried
 * again when other servers are named.
 *
 * Replaced by rename and synced, so it is never torn.
 */
import type { Disk } from '../host/host.ts';
import type { ServerMemory } from '../store/redis/known-servers.ts';

const FILE = 'servers.json';
const TEMPORARY = `${FILE}.new`;
const FORMAT = 1;
/** What is read of it, at most. */
const BYTES_MAX = 65_536;

export class ServerFile implements ServerMemory {
  readonly #disk: Disk;
  #place = '';
  #servers: readonly string[] = [];
  #writing: Promise<void> = Promise.resolve();

  private constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** @throws the system's errors */
  static async open(disk: Disk): Promise<ServerFile> {
    const file = new ServerFile(disk);
    if ((await disk.list()).includes(FILE)) file.#take(await readFile(disk));
    return file;
  }

  read(place: string): readonly string[] {
    return place === this.#place ? this.#servers : [];
  }

  keep(place: string, servers: readonly string[]): void {
    this.#place = place;
    this.#servers = servers;
    this.#writing = this.#writing
      .then(() => this.#write())
      .catch(() => {
        // Nothing depends on it, and a disk that takes nothing is reported by those whose files matter.
      });
  }

  /** Resolves when what was kept is written, as far as it can be. */
  async written(): Promise<void> {
    await this.#writing;
  }

  #take(text: string | undefined): void {
    const { format, place, servers } = parseObject(text);
    const isWhole = Array.isArray(servers) && servers.every((server) => typeof server === 'string');
    if (format !== FORMAT || typeof place !== 'string' || !isWhole) return;
    this.#place = place;
    this.#servers = servers as string[];
  }

  async #write(): Promise<void> {
    const content = { format: FORMAT, place: this.#place, servers: this.#servers };
    if ((await this.#disk.list()).includes(TEMPORARY)) await this.#disk.unlink(TEMPORARY);
    const file = await this.#disk.open(TEMPORARY, 'create');
    try {
      await file.write(new TextEncoder().encode(`${JSON.stringify(content)}\n`), 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(TEMPORARY, FILE);
    await this.#disk.syncDirectory();
  }
}

async function readFile(disk: Disk): Promise<string | undefined> {
  const file = await disk.open(FILE, 'read');
  try {
    const bytes = new Uint8Array(BYTES_MAX + 1);
    const length = await file.read(bytes, 0);
    return length > BYTES_MAX ? undefined : new TextDecoder().decode(bytes.subarray(0, length));
  } finally {
    await file.close();
  }
}

function parseObject(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
