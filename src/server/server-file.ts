/**
 * `servers.json`: the servers that a store has named, and the URL of that time. A start uses them to reach the store if
 * the servers in the URL are gone. Nothing depends on the file: a damaged one is reported and then ignored, and a
 * failed write is retried when other servers are named.
 *
 * Replaced as a whole, with a checksum (`small-file.ts`).
 */
import type { Disk } from '../host/host.ts';
import { DamageError } from '../journal/errors.ts';
import { decodeSmallFile, encodeSmallFile, readSmallFile, replaceSmallFile } from '../journal/small-file.ts';
import { isListOf, isText, isWhole, wrongField } from '../std/shape.ts';
import type { ServerMemory } from '../store/redis/known-servers.ts';

export const SERVERS_FILE = 'servers.json';
const FORMAT = 1;
const TEXT_MAX = 65_536;
const RECORD = {
  required: { format: isWhole(FORMAT, FORMAT), place: isText(TEXT_MAX), servers: isListOf(isText(TEXT_MAX)) },
  optional: {},
};

export class ServerFile implements ServerMemory {
  readonly #disk: Disk;
  #place = '';
  #servers: readonly string[] = [];
  #writing: Promise<void> = Promise.resolve();

  private constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** @param onDamaged called for a damaged file. @throws the system's errors */
  static async open(disk: Disk, onDamaged: (what: string) => void): Promise<ServerFile> {
    const file = new ServerFile(disk);
    const damage = await file.#read();
    if (damage !== undefined) onDamaged(damage);
    return file;
  }

  /** What is not whole in the file, in words; undefined when all is. @throws the system's errors */
  static damage(disk: Disk): Promise<string | undefined> {
    return new ServerFile(disk).#read();
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
        // Nothing depends on this file, and failures of the disk are reported for the files that matter.
      });
  }

  /** Resolves when the kept servers are written, if possible. */
  async written(): Promise<void> {
    await this.#writing;
  }

  async #read(): Promise<string | undefined> {
    try {
      const bytes = await readSmallFile(this.#disk, SERVERS_FILE);
      if (bytes === undefined) return undefined;
      const { content } = decodeSmallFile(SERVERS_FILE, bytes);
      const wrong = wrongField(content, RECORD);
      if (wrong !== undefined) return `${SERVERS_FILE}: its field "${wrong}" is not what it must be`;
      this.#place = content['place'] as string;
      this.#servers = content['servers'] as string[];
      return undefined;
    } catch (error) {
      if (error instanceof DamageError) return `${SERVERS_FILE}: ${error.reason}`;
      throw error;
    }
  }

  #write(): Promise<void> {
    const content = { format: FORMAT, place: this.#place, servers: this.#servers };
    return replaceSmallFile(this.#disk, SERVERS_FILE, encodeSmallFile(content));
  }
}
