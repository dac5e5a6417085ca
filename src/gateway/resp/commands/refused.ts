/** Commands that are refused with a specific reason, because their users should know it. */
export const REFUSED_COMMANDS: ReadonlyMap<string, string> = new Map([
  ['flushall', 'ERR FLUSHALL is not supported: delete counters by name'],
  ['flushdb', 'ERR FLUSHDB is not supported: delete counters by name'],
  ['shutdown', 'ERR SHUTDOWN is not supported: send the process SIGTERM'],
  ['eval', 'ERR EVAL is not supported: there is no scripting'],
  ['evalsha', 'ERR EVALSHA is not supported: there is no scripting'],
  ['monitor', 'ERR MONITOR is not supported'],
  ['subscribe', 'ERR SUBSCRIBE is not supported'],
  ['psubscribe', 'ERR PSUBSCRIBE is not supported'],
  ['incrbyfloat', 'ERR INCRBYFLOAT is not supported: a counter is an integer'],
]);
