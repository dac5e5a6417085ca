/**
 * The settings of `tallyd serve` as data: one table has the name, type, default and text of each. It feeds the flags
 * and their help, the variables, the keys of the config file and `docs/operations.md` (a test compares). A flag
 * overrides a variable, a variable the file, the file the default.
 */
import { ACKS } from '../counter/policy.ts';
import { DURABILITIES } from '../counter/service.ts';
import { parseStoreUrl } from './open-store.ts';
import {
  parseBoolean,
  parseBytes,
  parseCount,
  parseDuration,
  parseHostNames,
  parseListen,
  parseMethods,
  parseOrigins,
  parseText,
  parseWord,
} from './setting-values.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
const TRAIL_LEVELS = ['off', 'trace', 'debug', 'info', 'warn', 'error'] as const;
export type TrailLevel = (typeof TRAIL_LEVELS)[number];

export interface Setting<Value = unknown> {
  /** The placeholder after the flag in the help; none for a switch. */
  readonly argument?: string;
  readonly meaning: string;
  /** Its value when none is given, as it would be written. */
  readonly default?: string;
  /** For a setting without a default: what applies if none is given, in words. */
  readonly otherwise?: string;
  readonly parse: (value: unknown) => Value;
  /** Must be given at every start, so that a file cannot set it permanently. */
  readonly notInFile?: boolean;
}

const TABLE = {
  http: {
    argument: '<host:port>',
    meaning: 'where HTTP listens; port 0 takes any, off disables it',
    default: '127.0.0.1:7070',
    parse: parseListen,
  },
  resp: {
    argument: '<host:port>',
    meaning: 'where RESP (Redis clients) listens; port 0 takes any, off disables it',
    default: '127.0.0.1:7379',
    parse: parseListen,
  },
  data: {
    argument: '<dir>',
    meaning: 'the data directory; made when it is missing',
    default: './data',
    parse: parseText,
  },
  durability: {
    argument: '<mode>',
    meaning: 'when an update is answered: always (synced), interval (synced every second), off',
    default: 'always',
    parse: parseWord(DURABILITIES),
  },
  'secret-file': {
    argument: '<file>',
    meaning: 'a file that holds the secret which both doors ask for; or set TALLYD_SECRET',
    parse: parseText,
  },
  insecure: {
    meaning: 'allow addresses that are not loopback without a secret',
    default: 'false',
    parse: parseBoolean,
  },
  cors: {
    argument: '<origin...>',
    meaning: 'web pages of these origins may call the HTTP door; * for all',
    otherwise: 'none',
    parse: parseOrigins,
  },
  'cors-methods': {
    argument: '<method...>',
    meaning: 'what those pages may use; PUT sets counters, DELETE deletes them',
    otherwise: 'GET HEAD POST',
    parse: parseMethods,
  },
  'allowed-hosts': {
    argument: '<name...>',
    meaning:
      'without a secret: names by which the HTTP door may be called, besides localhost, addresses and the one in --http; * for any',
    otherwise: 'none',
    parse: parseHostNames,
  },
  'take-over': {
    meaning: 'take a data directory that another host used last and did not leave cleanly',
    default: 'false',
    parse: parseBoolean,
    notInFile: true,
  },
  'log-level': {
    argument: '<level>',
    meaning: `what is logged to stderr: ${LOG_LEVELS.join(', ')}`,
    default: 'info',
    parse: parseWord(LOG_LEVELS),
  },
  'access-log': {
    argument: '<level>',
    meaning: `at which level HTTP requests and RESP connections are logged: ${TRAIL_LEVELS.join(', ')}`,
    default: 'off',
    parse: parseWord(TRAIL_LEVELS),
  },
  'audit-log': {
    argument: '<level>',
    meaning:
      'at which level sets, deletes, deadlines, snapshots and wrong secrets are logged, with the client; levels as for access-log',
    default: 'off',
    parse: parseWord(TRAIL_LEVELS),
  },
  'idempotency-retention': {
    argument: '<duration>',
    meaning: 'how long idempotency keys are remembered',
    default: '1h',
    parse: parseDuration,
  },
  'idempotency-bytes': {
    argument: '<size>',
    meaning: 'how much memory idempotency keys may take; unless told, less where memory is short',
    otherwise: '256MiB',
    parse: parseBytes,
  },
  'idempotency-clock-skew': {
    argument: '<duration>',
    meaning: 'how far the time in an idempotency key may lie ahead',
    default: '1m',
    parse: parseDuration,
  },
  'snapshot-journal-bytes': {
    argument: '<size>',
    meaning: 'a snapshot is written when the journal has grown by this much, and by half the size of the last snapshot',
    default: '256MiB',
    parse: parseBytes,
  },
  'counters-max': {
    argument: '<count>',
    meaning: 'how many counters there may be; further names are refused',
    otherwise: 'what memory holds',
    parse: parseCount,
  },
  store: {
    argument: '<url>',
    meaning: 'share counters with other nodes through this store: postgres://..., redis://host:port[,host:port...]',
    otherwise: 'none: this node counts alone',
    parse: parseStoreUrl,
  },
  ack: {
    argument: '<when>',
    meaning:
      'with a store: when an update of a shared counter is answered: journal (it is durable here), store (the store confirmed it)',
    default: 'journal',
    parse: parseWord(ACKS),
  },
  memory: {
    argument: '<size>',
    meaning:
      'how much memory counters may take; further names are refused; with a store: of shared counters, and those not used lately leave it',
    otherwise: "half of what is left at the start; with a store half of the heap's limit",
    parse: parseBytes,
  },
  'retire-after': {
    argument: '<duration>',
    meaning: 'with a store: a node that nobody has heard of for so long is retired; its counts stay',
    default: '7d',
    parse: parseDuration,
  },
  'keep-folded': {
    argument: '<duration>',
    meaning: 'with a store: how far back the store may go in time without a loss of what crashed nodes had counted',
    default: '24h',
    parse: parseDuration,
  },
} satisfies Readonly<Record<string, Setting>>;

export type SettingKey = keyof typeof TABLE;
type Value<Row extends Setting> = ReturnType<Row['parse']> | (Row extends { default: string } ? never : undefined);
/**
 * The values of all settings, by key: given or the default. Undefined: not given, and there is no default; or a door
 * that is off.
 */
export type Settings = { readonly [Key in SettingKey]: Value<(typeof TABLE)[Key]> };

/** All settings, in the order of the help. */
export const SETTINGS: readonly (Setting & { readonly key: SettingKey })[] = Object.entries<Setting>(TABLE).map(
  ([key, setting]) => ({ key: key as SettingKey, ...setting }),
);

/** The variable of a setting: `log-level` is `TALLYD_LOG_LEVEL`. */
export function variableOf(key: SettingKey): string {
  return `TALLYD_${key.toUpperCase().replaceAll('-', '_')}`;
}
