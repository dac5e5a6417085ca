/**
 * `cuts.log`: the newest cut that this node has seen of each counter that it holds. A slot is meaningless without the
 * cut that covers it: if the store has lost both, the slot alone would undo a set or delete.
 *
 * Invariants:
 * - Lines are only appended; each has a checksum, so a torn or damaged line is skipped, and the last whole line of a
 *   name is valid. A damaged one, in front of one that is whole, is reported, and the file then replaced: stores have
 *   its cut, too, unless they go back.
 * - A file that has grown to twice its live content, or could not be written, is replaced by rename, whole and synced.
 */
import { type Cut, newerCut } from '../crdt/cut.ts';
import type { Slot } from '../crdt/slot.ts';
import type { Disk, DiskFile } from '../host/host.ts';
import { CHECKSUM_DIGITS, checksumText } from '../journal/small-file.ts';
import { PartedMap } from '../std/parted-map.ts';
import { isFlag } from '../std/shape.ts';
import { isName, isReplica, readAuthor, readBase, readCutVersion, readNet, readVersion } from '../store/input.ts';
import type { NamedCut, ReplicaId } from '../store/slot-store.ts';
import { IdentityWriteError } from './identity.ts';

export const CUTS_FILE = 'cuts.log';
const TEMPORARY = `${CUTS_FILE}.new`;
const HEADER = '{"format":1}';
const READ_BYTES = 1_048_576;
const LINES_AT_ONCE = 1_000;
/** This many stale lines, plus as many as are live, are allowed before the file is replaced. */
const STALE_MAX = 10_000;
const NEWLINE = 10;

export class KeptCuts {
  readonly #disk: Disk;
  readonly #cuts = new PartedMap<Cut<ReplicaId>>();
  /** Names whose line in the file is missing or outdated. */
  #unsaved = new Set<string>();
  #file: DiskFile | undefined;
  #bytes = 0;
  #lines = 0;
  #saving: Promise<void> = Promise.resolve();
  /** The last write failed: the file must be replaced. */
  #hasFailed = false;

  private constructor(disk: Disk) {
    this.#disk = disk;
  }

  /**
   * Reads the file of an earlier process. A file of a later version is ignored and replaced.
   * @param onDamaged told of what is not whole, once; without it the file is only read.
   */
  static async open(disk: Disk, onDamaged?: (what: string) => void): Promise<KeptCuts> {
    const kept = new KeptCuts(disk);
    if (!(await KeptCuts.isIn(disk))) return kept;
    const file = await disk.open(CUTS_FILE, onDamaged === undefined ? 'read' : 'write');
    const damage = await kept.#read(file);
    if (damage === undefined) {
      kept.#file = file;
      return kept;
    }
    await file.close();
    onDamaged?.(damage);
    return kept;
  }

  static async isIn(disk: Disk): Promise<boolean> {
    return (await disk.list()).includes(CUTS_FILE);
  }

  /** What is not whole in the file, in words; undefined when all is. @throws the system's errors */
  static async damage(disk: Disk): Promise<string | undefined> {
    const file = await disk.open(CUTS_FILE, 'read');
    try {
      return await new KeptCuts(disk).#read(file);
    } finally {
      await file.close();
    }
  }

  /** What is whole in the file of one directory, for another. @throws IdentityWriteError, and the system's errors */
  static async copy(from: Disk, to: Disk): Promise<void> {
    const [source, copy] = [await KeptCuts.open(from), new KeptCuts(to)];
    for (const [name, cut] of source.all()) copy.keep(name, cut);
    await source.close();
    await copy.save();
    await copy.close();
  }

  get(name: string): Cut<ReplicaId> | undefined {
    return this.#cuts.get(name);
  }

  /** All of them, including those added meanwhile. */
  all(): IterableIterator<[string, Cut<ReplicaId>]> {
    return this.#cuts.entries();
  }

  /** The cuts of those among these names that have one. */
  of(names: readonly string[]): NamedCut[] {
    return names.flatMap((name) => {
      const cut = this.#cuts.get(name);
      return cut === undefined ? [] : [{ name, cut }];
    });
  }

  /** Keeps the newer cut. It is on disk after the next `save`. */
  keep(name: string, cut: Cut<ReplicaId>): void {
    const known = this.#cuts.get(name);
    if (known !== undefined && newerCut(known, cut) === known) return;
    this.#cuts.set(name, cut);
    this.#unsaved.add(name);
  }

  /** The counter has left this node. */
  drop(name: string): void {
    if (this.#cuts.delete(name)) this.#unsaved.add(name);
  }

  /** Writes pending changes to disk. @throws IdentityWriteError; the next call retries */
  save(): Promise<void> {
    const saved = this.#saving.then(() => (this.#unsaved.size === 0 && !this.#hasFailed ? undefined : this.#save()));
    this.#saving = saved.catch(() => {
      // Its caller is notified.
    });
    return saved;
  }

  async close(): Promise<void> {
    await this.#saving;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #save(): Promise<void> {
    const names = this.#unsaved;
    this.#unsaved = new Set();
    try {
      const isStale = this.#lines + names.size > 2 * this.#cuts.size + STALE_MAX;
      if (this.#file === undefined || isStale) await this.#replace();
      else await this.#append(this.#file, names);
      this.#hasFailed = false;
    } catch (error) {
      await this.#file?.close().catch(() => {
        // It is replaced by another one.
      });
      this.#file = undefined;
      const isFirst = !this.#hasFailed;
      this.#hasFailed = true;
      throw new IdentityWriteError(error, isFirst, CUTS_FILE);
    }
  }

  async #append(file: DiskFile, names: Iterable<string>): Promise<void> {
    let lines: string[] = [];
    for (const name of names) {
      lines.push(this.#line(name));
      if (lines.length < LINES_AT_ONCE) continue;
      await this.#write(file, lines);
      lines = [];
    }
    if (lines.length > 0) await this.#write(file, lines);
    await file.sync();
  }

  async #replace(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    if ((await this.#disk.list()).includes(TEMPORARY)) await this.#disk.unlink(TEMPORARY);
    const file = await this.#disk.open(TEMPORARY, 'create');
    this.#bytes = 0;
    this.#lines = 0;
    await this.#write(file, [lineOf(HEADER)]);
    await this.#append(file, this.#cuts.keys());
    await this.#disk.rename(TEMPORARY, CUTS_FILE);
    await this.#disk.syncDirectory();
    this.#file = file;
  }

  async #write(file: DiskFile, lines: readonly string[]): Promise<void> {
    const bytes = Buffer.from(lines.join(''));
    await file.write(bytes, this.#bytes);
    this.#bytes += bytes.length;
    this.#lines += lines.length;
  }

  #line(name: string): string {
    const cut = this.#cuts.get(name);
    if (cut === undefined) return lineOf(JSON.stringify({ name }));
    const { version, author, base, isDeleted } = cut;
    const folded = Object.fromEntries(Array.from(cut.folded, ([id, slot]) => [id, `${slot.version} ${slot.net}`]));
    return lineOf(JSON.stringify({ name, version: `${version}`, author, base: `${base}`, isDeleted, folded }));
  }

  /**
   * @returns what is not whole in it, and is to be replaced: what a crash has torn behind the last whole line is
   * written over.
   */
  async #read(file: DiskFile): Promise<string | undefined> {
    /** The first line that is not whole, counted from 1. */
    let bad: number | undefined;
    let isDamaged = false;
    let rest: Buffer = Buffer.alloc(0);
    for (let at = 0; ; ) {
      const chunk = Buffer.alloc(READ_BYTES);
      const read = await file.read(chunk, at);
      if (read === 0) break;
      at += read;
      rest = Buffer.concat([rest, chunk.subarray(0, read)]);
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        const json = contentOf(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
        this.#lines++;
        if (this.#lines === 1 && json !== undefined && json !== HEADER) return `${CUTS_FILE} has another format`;
        const isWhole = json !== undefined && (this.#lines === 1 || this.#take(json));
        if (isWhole) this.#bytes = at - rest.length;
        else bad ??= this.#lines;
        isDamaged ||= isWhole && bad !== undefined;
      }
    }
    const hasHeader = this.#lines > 0 && bad !== 1;
    return isDamaged || !hasHeader ? `${CUTS_FILE} is damaged in line ${bad ?? 1}` : undefined;
  }

  /** @returns false if the line is invalid. */
  #take(json: string): boolean {
    const line = parseLine(json);
    if (line === undefined) return false;
    if (line.cut === undefined) this.#cuts.delete(line.name);
    else this.#cuts.set(line.name, line.cut);
    return true;
  }
}

function lineOf(json: string): string {
  return `${checksumText(json)} ${json}\n`;
}

/** Undefined: the line is damaged. */
function contentOf(line: Buffer): string | undefined {
  const json = line.toString('utf8', CHECKSUM_DIGITS + 1);
  return lineOf(json) === `${line.toString()}\n` ? json : undefined;
}

/** Undefined: not a line of this file. */
function parseLine(json: string): { readonly name: string; readonly cut?: Cut<ReplicaId> } | undefined {
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof content !== 'object' || content === null) return undefined;
  const { name, ...fields } = content as Record<string, unknown>;
  if (typeof name !== 'string' || !isName(name)) return undefined;
  if (Object.keys(fields).length === 0) return { name };
  const cut = cutOf(fields);
  return cut && { name, cut };
}

function cutOf(fields: Record<string, unknown>): Cut<ReplicaId> | undefined {
  const [version, author] = [readCutVersion(fields['version']), readAuthor(fields['author'])];
  const { isDeleted, folded: slots } = fields;
  const base = readBase(fields['base']);
  if (version === undefined || author === undefined || base === undefined || !isFlag(isDeleted)) return undefined;
  if (typeof slots !== 'object' || slots === null) return undefined;
  const folded = new Map<ReplicaId, Slot>();
  for (const [id, slot] of Object.entries(slots)) {
    const [at, count] = String(slot).split(' ');
    const [of, net] = [readVersion(at), readNet(count)];
    if (of === undefined || net === undefined || !isReplica(id)) return undefined;
    folded.set(id, { version: of, net });
  }
  return { version, author, base, folded, isDeleted };
}
