/** How much memory this process may use: the machine's, or less if a limit is set. */
import { totalmem } from 'node:os';
import { posix } from 'node:path';
import { processLimit, type Read, readText } from './limits.ts';

export interface MemoryLimit {
  readonly bytes: number;
  /** The source of the limit, for messages. */
  readonly setBy: string;
  /** The process's current resident memory. */
  readonly usedBytes: number;
}

const KIBIBYTE = 1024;
/** Control groups of version 1 report this if there is no limit. */
const NO_LIMIT = 2 ** 60;

/** @param machineBytes the upper bound */
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
    // A process never uses most of the address space it has reserved: only the remaining space and the resident memory
    // count.
    if (bytes !== undefined && bytes > 0) limits.push({ bytes: Math.max(0, bytes - reserved) + usedBytes, setBy });
  }
  const tightest = limits.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  return { ...tightest, usedBytes };
}

/** Whether address space is limited: a further thread needs some 600 MiB of it, and aborts without. */
export function isAddressSpaceLimited(read: Read = readText): boolean {
  return processLimit('Max address space', read) !== undefined;
}

function residentBytes(): number {
  return process.memoryUsage.rss();
}

/** The limits of the process's group and of all parent groups: version 2, then 1. */
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

/** In a container the path may be a host path that is not visible there; then only the root is. */
function limitsAlong(read: Read, root: string, path: string, file: string): number[] {
  const found: number[] = [];
  for (let at = path; ; at = posix.dirname(at)) {
    const bytes = Number(read(posix.join(root, at, file)) ?? Number.NaN);
    if (bytes > 0 && bytes < NO_LIMIT) found.push(bytes);
    if (at === '/') return found;
  }
}
