/**
 * `tallyd verify DIR`: what the journal's verification found, for people and as JSON. It reads a directory that
 * is in use too, but says so: the files then change while they are read.
 */
import { realpath } from 'node:fs/promises';
import { IDEMPOTENCY_DEFAULTS, IdempotencyStore } from '../engine/idempotency.ts';
import { Loading } from '../engine/loading.ts';
import { Memory } from '../engine/memory.ts';
import { Records } from '../engine/records.ts';
import { IDENTITY_FILE, parseIdentity, readIdentity } from '../exchange/identity.ts';
import { CUTS_FILE, KeptCuts } from '../exchange/kept-cuts.ts';
import type { Disk } from '../host/host.ts';
import { NodeDisk } from '../host/node/disk.ts';
import {
  damageOf,
  type FileReport,
  type OtherReport,
  otherReport,
  type VerifyReport,
  verify,
} from '../journal/verify.ts';
import { requireUtf8 } from './directory.ts';
import { host } from './open-engine.ts';
import { findOwner } from './owner.ts';
import { OWNER_FILE, readOwnerDocument, unknownOwner } from './owner-file.ts';
import { SERVERS_FILE, ServerFile } from './server-file.ts';
import { ExitCode, reasonOf, StartError, systemCode } from './start-error.ts';

const HASH_KEY_BYTES = 8;

/** What the command reports beyond the journal's own report. */
interface Findings extends VerifyReport {
  readonly directory: string;
  /** The process that uses the directory; 0 when it does not tell its id. */
  readonly ownerPid: number | undefined;
  readonly isWhole: boolean;
  readonly counters: number;
  readonly idempotencyRecords: number;
}

/**
 * Verifies a directory and prints what was found to the standard output.
 * @returns the exit code: done when everything is whole, failed when not
 * @throws StartError when there is nothing to verify, or it cannot be read
 */
export async function verifyCommand(directory: string, asJson: boolean): Promise<ExitCode> {
  const findings = await examine(directory);
  process.stdout.write(asJson ? `${toJson(findings)}\n` : toText(findings));
  return findings.isWhole ? ExitCode.done : ExitCode.failed;
}

async function examine(path: string): Promise<Findings> {
  let ownerPid: number | undefined;
  try {
    const directory = requireUtf8(await realpath(requireUtf8(path)));
    ownerPid = await findOwner(directory);
    const hashKey = host.random.bytes(HASH_KEY_BYTES);
    const memory = new Memory();
    const records = new Records({ hashKey, policies: [], countersMax: Number.MAX_SAFE_INTEGER, memory, groups: [] });
    const keys = new IdempotencyStore(IDEMPOTENCY_DEFAULTS, host.clock, memory, hashKey);
    const disk = new NodeDisk(directory);
    const report = await verify(disk, new Loading(records, keys));
    if (report.files.length === 0) throw new StartError(`there is no journal in ${directory}: name a data directory`);
    const beside = await besideJournal(disk, directory);
    const refusal = report.refusal ?? beside.refusal;
    const others = [...report.others, ...beside.others];
    const isWhole = refusal === undefined && !report.files.some(isDamaged) && others.every((file) => file.isWhole);
    const wouldStart = refusal === undefined;
    const counts = { counters: records.count, idempotencyRecords: keys.count };
    return { ...report, others, wouldStart, refusal, directory, ownerPid, isWhole, ...counts };
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    const advice =
      ownerPid !== undefined && code === 'ENOENT'
        ? 'the server that uses it replaced a file meanwhile; verify again, or stop it first'
        : `${reasonOf(error)}; name a data directory that this user can read`;
    throw new StartError(`${path} cannot be verified: ${advice}`, { cause: error });
  }
}

/** The small files that are not the journal's, and why a start is refused by them. */
async function besideJournal(disk: Disk, directory: string): Promise<Pick<VerifyReport, 'others' | 'refusal'>> {
  const others: OtherReport[] = [];
  let refusal: string | undefined;
  const look = async (file: string, refuses: (error: unknown) => string, read: () => Promise<unknown>) => {
    try {
      if ((await read()) !== undefined) others.push(otherReport(file, undefined));
    } catch (error) {
      others.push(otherReport(file, damageOf(error)));
      refusal ??= refuses(error);
    }
  };
  await look(
    OWNER_FILE,
    (error) => unknownOwner(directory, error).message,
    () => readOwnerDocument(disk),
  );
  await look(IDENTITY_FILE, damageOf, async () => {
    const bytes = await readIdentity(disk);
    return bytes && parseIdentity(bytes);
  });
  const damage = await ServerFile.damage(disk);
  if (damage !== undefined) others.push(otherReport(SERVERS_FILE, damage));
  if (await KeptCuts.isIn(disk)) others.push(otherReport(CUTS_FILE, await KeptCuts.damage(disk)));
  return { others, refusal };
}

/** Bad bytes in a segment that a start passes by are a torn or abandoned end; a snapshot has no such end. */
function isDamaged(file: FileReport): boolean {
  return file.kind === 'snapshot' && !file.isWhole;
}

/** Sequence numbers as decimal strings: they may exceed what JSON readers keep exact. */
function toJson(findings: Findings): string {
  return JSON.stringify(findings, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value), 2);
}

function toText(findings: Findings): string {
  const { directory, ownerPid, files, others, wouldStart, refusal, sequence, tornBytes, counters, isWhole } = findings;
  const lines: string[] = [];
  if (ownerPid !== undefined) {
    const owner = ownerPid === 0 ? 'a process' : `process ${ownerPid}`;
    lines.push(`notice: ${owner} uses ${directory}; the end of its newest file may look torn, for it is being written`);
  }
  for (const file of files) lines.push(...describeFile(file, wouldStart));
  for (const { file, damage } of others) {
    lines.push(damage === undefined ? `${file}: whole` : `${file}: damaged`);
    if (damage !== undefined) lines.push(`  ${damage}`);
  }
  if (wouldStart) {
    lines.push(`a start recovers ${counters} counters through group ${sequence}`);
    if (tornBytes > 0) {
      lines.push(`and cuts off ${tornBytes} bytes of a torn write at the end, which were never durable`);
    }
  } else {
    lines.push(`a start is refused: ${refusal}`);
  }
  lines.push(isWhole ? `${directory} is whole` : `${directory} is damaged`);
  return `${lines.join('\n')}\n`;
}

function describeFile(file: FileReport, wouldStart: boolean): string[] {
  const { frames, entries, firstSequence, lastSequence, bytes } = file;
  const groups = lastSequence === undefined ? 'no groups' : `groups ${firstSequence} to ${lastSequence}`;
  const content = `${groups}, ${frames} frames, ${entries} entries, ${bytes} bytes`;
  const use = wouldStart && !file.isUsed ? ', left over: a start does not read it' : '';
  const head = `${file.file}: ${verdict(file, wouldStart)}, ${content}${use}`;
  const bad = file.bad.map(
    ({ offset, length, reason }) => `  offset ${offset}, ${length} bytes: ${reason}${afterMark(file, offset)}`,
  );
  return [head, ...bad];
}

function verdict(file: FileReport, wouldStart: boolean): string {
  if (file.kind === 'temporary') return 'unfinished';
  if (file.isWhole) return 'whole';
  return wouldStart && !isDamaged(file) ? 'torn' : 'damaged';
}

function afterMark(file: FileReport, offset: number): string {
  return file.kind === 'segment' && offset >= file.durableOffset ? ' (behind the last durability mark)' : '';
}
