/** How much memory this process may use: what the machine has, or less where someone has set a limit. */
import { totalmem } from 'node:os';
import { posix } from 'node:path';
import { processLimit, type Read, readText } from './limits.ts';

export interface MemoryLimit {
  readonly bytes: number;
  /** Who set it, for people. */
  readonly setBy: string;
  /** What this process has in memory already. */
  readonly usedBytes: number;
}

const KIBIBYTE = 1024;
/** Version 1 says so where there is no limit. */
const NO_LIMIT = 2 ** 60;

/** @param machineBytes what there is at most */
export function memoryLimit(
  read: Read = readText,
  machineBytes = totalmem(),
  usedBytes = residentBytes(),
): MemoryLimit {
  const limits = [{ bytes: machineBytes, setBy: 'the machine' }];
  for (const bytes of controlGroupLimits(read)) limits.push({ bytes, setBy: 'the control group' });
  const status = read('/proc/self/status') ?? '';
  for (const [limit, inUse, setBy] of [
    ['Max address space', 'VmSize', 'RLIMIT_AS'],
    ['Max data size', 'VmData', 'RLIMIT_DATA'],
  ]) {
    const bytes = processLimit(limit, read);
    const reserved = Number(new RegExp(`^${inUse}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * KIBIBYTE;
    // Most of what a process has reserved it never uses: only what is left counts, and what is in memory.
    if (bytes !== undefined && bytes > 0) limits.push({ bytes: Math.max(0, bytes - reserved) + usedBytes, setBy });
  }
  const tightest = limits.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  return { ...tightest, usedBytes };
}

/** Whether the process may reserve only so much address space: a further thread wants some 600 MiB of it, and aborts without. */
export function isAddressSpaceLimited(read: Read = readText): boolean {
  return processLimit('Max address space', read) !== undefined;
}

function residentBytes(): number {
  return process.memoryUsage.rss();
}

/** Of the group that the process is in and of all above it: version 2, then 1. */
function controlGroupLimits(read: Read): number[] {
  const found: number[] = [];
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (controllers === '') found.push(...limitsAlong(read, '/sys/fs/cgroup', path, 'memory.max'));
    else if (controllers?.split(',').includes('memory'))
      found.push(...limitsAlong(read, '/sys/fs/cgroup/memory', path, 'memory.limit_in_bytes'));
  }
  return found;
}

/** In a container the path may be one of the machine's that is not seen there: then only the root is. */
function limitsAlong(read: Read, root: string, path: string, file: string): number[] {
  const found: number[] = [];
  for (let at = path; ; at = posix.dirname(at)) {
    const bytes = Number(read(posix.join(root, at, file)) ?? Number.NaN);
    if (bytes > 0 && bytes < NO_LIMIT) found.push(bytes);
    if (at === '/') return found;
  }
}
