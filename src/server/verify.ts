/**
 * `tallyd verify DIR`: what the journal's verification found, for people and as JSON. It reads a directory that
 * is in use too, but says so: the files then change while they are read.
 */
import { realpath } from 'node:fs/promises';
import { IDEMPOTENCY_DEFAULTS, IdempotencyStore } from '../engine/idempotency.ts';
import { Loading } from '../engine/loading.ts';
import { Memory } from '../engine/memory.ts';
import { Records } from '../engine/records.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { type FileReport, type VerifyReport, verify } from '../journal/verify.ts';
import { host } from './open-engine.ts';
import { findOwner } from './owner.ts';
import { ExitCode, reasonOf, StartError, systemCode } from './start-error.ts';

const HASH_KEY_BYTES = 8;

/** What the command tells beyond the journal's own report. */
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
    const directory = await realpath(path);
    ownerPid = await findOwner(directory);
    const hashKey = host.random.bytes(HASH_KEY_BYTES);
    const memory = new Memory();
    const records = new Records({ hashKey, policies: [], countersMax: Number.MAX_SAFE_INTEGER, memory, groups: [] });
    const keys = new IdempotencyStore(IDEMPOTENCY_DEFAULTS, host.clock, memory, hashKey);
    const report = await verify(new NodeDisk(directory), new Loading(records, keys));
    if (report.files.length === 0) throw new StartError(`there is no journal in ${directory}: name a data directory`);
    const isWhole = report.wouldStart && !report.files.some(isDamaged);
    return { ...report, directory, ownerPid, isWhole, counters: records.count, idempotencyRecords: keys.count };
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

/** Bad bytes in a segment that a start passes by are a torn or abandoned end; a snapshot has no such end. */
function isDamaged(file: FileReport): boolean {
  return file.kind === 'snapshot' && !file.isWhole;
}

/** Sequence numbers as decimal strings: they may exceed what JSON readers keep exact. */
function toJson(findings: Findings): string {
  return JSON.stringify(findings, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value), 2);
}

function toText(findings: Findings): string {
  const { directory, ownerPid, files, wouldStart, refusal, sequence, tornBytes, counters, isWhole } = findings;
  const lines: string[] = [];
  if (ownerPid !== undefined) {
    const owner = ownerPid === 0 ? 'a process' : `process ${ownerPid}`;
    lines.push(`notice: ${owner} uses ${directory}; the end of its newest file may look torn, for it is being written`);
  }
  for (const file of files) lines.push(...describeFile(file, wouldStart));
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
