/**
 * The settings of `tallyd serve` as data: one table feeds the flags and their help, the variables, the keys of
 * the config file and `docs/operations.md` (a test compares). A flag outranks a variable, a variable the file,
 * the file the default.
 */
import { DURABILITIES, type Durability } from '../counter/service.ts';
import { parseStoreUrl } from './open-store.ts';
import {
  type ListenAddress,
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

/** The values of all settings that were given, by key. */
export interface Settings {
  http?: ListenAddress | undefined;
  resp?: ListenAddress | undefined;
  data?: string;
  durability?: Durability;
  'secret-file'?: string;
  insecure?: boolean;
  cors?: readonly string[];
  'cors-methods'?: readonly string[];
  'allowed-hosts'?: readonly string[];
  'take-over'?: boolean;
  'log-level'?: LogLevel;
  'access-log'?: TrailLevel;
  'audit-log'?: TrailLevel;
  'idempotency-retention'?: number;
  'idempotency-bytes'?: number;
  'idempotency-clock-skew'?: number;
  'snapshot-journal-bytes'?: number;
  'counters-max'?: number;
  store?: string;
  ack?: 'journal' | 'store';
  memory?: number;
  'retire-after'?: number;
  'keep-folded'?: number;
}
export type SettingKey = keyof Settings;

export interface Setting {
  readonly key: SettingKey;
  /** What stands behind the flag in the help; none for a switch. */
  readonly argument?: string;
  readonly meaning: string;
  /** As the help shows it. */
  readonly default?: string;
  readonly parse: (value: unknown) => Settings[SettingKey];
  /** Decided anew at every start, so that a file can't decide it for ever. */
  readonly notInFile?: boolean;
}

export const SETTINGS: readonly Setting[] = [
  {
    key: 'http',
    argument: '<host:port>',
    meaning: 'where HTTP listens; port 0 takes any, off disables it',
    default: '127.0.0.1:7070',
    parse: parseListen,
  },
  {
    key: 'resp',
    argument: '<host:port>',
    meaning: 'where RESP (Redis clients) listens; port 0 takes any, off disables it',
    default: '127.0.0.1:7379',
    parse: parseListen,
  },
  {
    key: 'data',
    argument: '<dir>',
    meaning: 'the data directory; made when it is missing',
    default: './data',
    parse: parseText,
  },
  {
    key: 'durability',
    argument: '<mode>',
    meaning: 'when an update is answered: always (synced), interval (synced every second), off',
    default: 'always',
    parse: parseWord<Durability>(DURABILITIES),
  },
  {
    key: 'secret-file',
    argument: '<file>',
    meaning: 'a file that holds the secret which both doors ask for; or set TALLYD_SECRET',
    parse: parseText,
  },
  {
    key: 'insecure',
    meaning: 'allow addresses that are not loopback without a secret',
    default: 'false',
    parse: parseBoolean,
  },
  {
    key: 'cors',
    argument: '<origin...>',
    meaning: 'web pages of these origins may call the HTTP door; * for all',
    default: 'none',
    parse: parseOrigins,
  },
  {
    key: 'cors-methods',
    argument: '<method...>',
    meaning: 'what those pages may use; PUT sets counters, DELETE deletes them',
    default: 'GET HEAD POST',
    parse: parseMethods,
  },
  {
    key: 'allowed-hosts',
    argument: '<name...>',
    meaning:
      'without a secret: names by which the HTTP door may be called, besides localhost, addresses and the one in --http; * for any',
    default: 'none',
    parse: parseHostNames,
  },
  {
    key: 'take-over',
    meaning: 'take a data directory that another host used last and did not leave cleanly',
    default: 'false',
    parse: parseBoolean,
    notInFile: true,
  },
  {
    key: 'log-level',
    argument: '<level>',
    meaning: `what is logged to stderr: ${LOG_LEVELS.join(', ')}`,
    default: 'info',
    parse: parseWord<LogLevel>(LOG_LEVELS),
  },
  {
    key: 'access-log',
    argument: '<level>',
    meaning: `at which level HTTP requests and RESP connections are logged: ${TRAIL_LEVELS.join(', ')}`,
    default: 'off',
    parse: parseWord<TrailLevel>(TRAIL_LEVELS),
  },
  {
    key: 'audit-log',
    argument: '<level>',
    meaning:
      'at which level sets, deletes, deadlines, snapshots and wrong secrets are logged, with the client; levels as for access-log',
    default: 'off',
    parse: parseWord<TrailLevel>(TRAIL_LEVELS),
  },
  {
    key: 'idempotency-retention',
    argument: '<duration>',
    meaning: 'how long idempotency keys are remembered',
    default: '1h',
    parse: parseDuration,
  },
  {
    key: 'idempotency-bytes',
    argument: '<size>',
    meaning: 'how much memory idempotency keys may take; unless told, less where memory is short',
    default: '256MiB',
    parse: parseBytes,
  },
  {
    key: 'idempotency-clock-skew',
    argument: '<duration>',
    meaning: 'how far the time in an idempotency key may lie ahead',
    default: '1m',
    parse: parseDuration,
  },
  {
    key: 'snapshot-journal-bytes',
    argument: '<size>',
    meaning: 'a snapshot is written when the journal has grown by this much, and by half the size of the last snapshot',
    default: '256MiB',
    parse: parseBytes,
  },
  {
    key: 'counters-max',
    argument: '<count>',
    meaning: 'how many counters there may be; further names are refused',
    default: 'what memory holds',
    parse: parseCount,
  },
  {
    key: 'store',
    argument: '<url>',
    meaning: 'share counters with other nodes through this store: postgres://..., redis://host:port[,host:port...]',
    default: 'none: this node counts alone',
    parse: parseStoreUrl,
  },
  {
    key: 'ack',
    argument: '<when>',
    meaning:
      'with a store: when an update of a shared counter is answered: journal (it is durable here), store (the store confirmed it)',
    default: 'journal',
    parse: parseWord(['journal', 'store']),
  },
  {
    key: 'memory',
    argument: '<size>',
    meaning:
      'how much memory counters may take; further names are refused; with a store: of shared counters, and those not used lately leave it',
    default: "half of what is left at the start; with a store half of the heap's limit",
    parse: parseBytes,
  },
  {
    key: 'retire-after',
    argument: '<duration>',
    meaning: 'with a store: a node that nobody has heard of for so long is retired; its counts stay',
    default: '7d',
    parse: parseDuration,
  },
  {
    key: 'keep-folded',
    argument: '<duration>',
    meaning: 'with a store: how far back the store may go in time without a loss of what crashed nodes had counted',
    default: '24h',
    parse: parseDuration,
  },
];

/** The variable of a setting: `log-level` is `TALLYD_LOG_LEVEL`. */
export function variableOf(key: SettingKey): string {
  return `TALLYD_${key.toUpperCase().replaceAll('-', '_')}`;
}
