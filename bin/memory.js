// How a process that keeps counters asks for memory; both have to be said before it starts.
//
// Large tables in pages of 2 MiB: a look-up in ten million counters takes three quarters of the time, since the
// processor finds their addresses without a second miss. The C library asks the system for such pages when its
// environment says so; where the system has none, or another C library is used, nothing happens.
//
// A small young generation: counters do not lie in V8's heap, and what a request leaves there is gone at once. By
// default V8 keeps up to 48 MiB for it.

const HUGE_PAGES = { name: 'GLIBC_TUNABLES', value: 'glibc.malloc.hugetlb=1' };

/** For Node's command line. */
export const memoryFlags = ['--max-semi-space-size=4'];

/** The environment of a process that keeps counters; what is set already stays. */
export function memoryEnvironment(environment) {
  const { name, value } = HUGE_PAGES;
  return environment[name] === undefined ? { ...environment, [name]: value } : environment;
}

/**
 * Starts this process over with both, under the same pid. Returns when that has been done, or can't be done: before
 * Node 26 it is an experiment, a channel to a parent would be lost, and a profiler's timer would go on and kill the
 * process before it is ready for it.
 */
export function restartWithMemory() {
  const environment = memoryEnvironment(process.env);
  const isPossible = process.platform === 'linux' && Number.parseInt(process.versions.node, 10) >= 26;
  const isProfiled = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((option) => option.includes('prof'));
  if (environment === process.env || !isPossible || isProfiled || process.channel !== undefined) return;
  const args = [process.execPath, ...memoryFlags, ...process.execArgv, ...process.argv.slice(1)];
  try {
    process.execve(process.execPath, args, environment);
  } catch {
    // Slower and larger with many counters, nothing else.
  }
}
