/**
 * Cores, and how much of one a process has used. A server gets one core, whatever threads it has, and the load
 * generator another one: with both on the same core the generator would be what is measured.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** The kernel counts CPU time in these, whatever its own tick is. */
const TICKS_PER_SECOND = 100;

export interface Cores {
  /** Undefined where nothing can be pinned: one core only, or no taskset. */
  readonly server: number | undefined;
  readonly load: number | undefined;
}

/** The cores that this process may use, shared out. */
export function shareCores(): Cores {
  const allowed = allowedCores();
  if (allowed.length < 2 || spawnSync('taskset', ['--version']).status !== 0) {
    return { server: undefined, load: undefined };
  }
  return { server: allowed[0], load: allowed[1] };
}

/** The command line that runs `command` on `core`, with all its threads and children. */
export function pinned(core: number | undefined, command: string, args: readonly string[]): [string, string[]] {
  if (core === undefined) return [command, [...args]];
  return ['taskset', ['-c', String(core), command, ...args]];
}

/** CPU seconds that a process has used so far, all threads; 0 once it is gone. */
export function cpuSecondsOf(pid: number): number {
  const fields = statFields(pid);
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU seconds of the children of this process that have ended. */
export function cpuSecondsOfEndedChildren(): number {
  const fields = statFields(process.pid);
  return fields === undefined ? 0 : (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** CPU seconds that the whole machine has spent so far, on anything; what a hypervisor took away counts, too. */
export function cpuSecondsOfMachine(): number {
  const [user, nice, system, , , interrupts, softInterrupts, steal] =
    /^cpu +(.*)$/m
      .exec(readProc('stat') ?? '')?.[1]
      .split(' ')
      .map(Number) ?? [];
  return (user + nice + system + interrupts + softInterrupts + steal) / TICKS_PER_SECOND;
}

/** Resident memory in bytes, as the kernel tells it; 0 once the process is gone. */
export function residentBytesOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(`${pid}/status`) ?? '');
  return Number(match?.[1] ?? 0) * 1024;
}

export function processorModel(): string {
  return cpus()[0]?.model.trim() ?? 'unknown';
}

function allowedCores(): number[] {
  const match = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readProc('self/status') ?? '');
  return (match?.[1] ?? '').split(',').flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number);
    return Number.isNaN(first) ? [] : Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** The fields of /proc/PID/stat behind the command, whose name may contain anything. */
function statFields(pid: number): string[] | undefined {
  const text = readProc(`${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return undefined;
  }
}
