// Large tables in pages of 2 MiB: a look-up in ten million counters takes three quarters of the time, since the processor
// finds their addresses without a second miss. The C library asks the system for such pages when its environment says so
// before the process starts; where the system has none, or another C library is used, nothing happens.

const NAME = 'GLIBC_TUNABLES';
const SETTING = 'glibc.malloc.hugetlb=1';

/** The environment of a process that keeps counters; one that is set already stays. */
export function withHugePages(environment) {
  return environment[NAME] === undefined ? { ...environment, [NAME]: SETTING } : environment;
}

/**
 * Starts this process over with that environment, under the same pid. Returns when there is nothing to do, or it can't be
 * done: before Node 26 it is an experiment, a channel to a parent would be lost, and a profiler's timer would go on
 * and kill the process before it is ready for it.
 */
export function restartWithHugePages() {
  const environment = withHugePages(process.env);
  const isPossible = process.platform === 'linux' && Number.parseInt(process.versions.node, 10) >= 26;
  const isProfiled = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((option) => option.includes('prof'));
  if (environment === process.env || !isPossible || isProfiled || process.channel !== undefined) return;
  try {
    process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], environment);
  } catch {
    // Slower with many counters, nothing else.
  }
}
