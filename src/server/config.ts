/**
 * The configuration of `tallyd serve`: flags override variables, the config file and the defaults, in this order; and
 * the rules between settings. Every given value is checked, even if it is overridden.
 */
import { readFile, stat } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { getHeapStatistics } from 'node:v8';
import { SECRET_BYTES_MAX } from '../counter/limits.ts';
import type { Policy } from '../counter/policy.ts';
import { Secret } from '../gateway/auth/secret.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';
import type { DirectoryOptions } from './open-engine.ts';
import type { RegionSettings } from './open-region.ts';
import { type ListenAddress, named, parseText, showAddress, ValueError } from './setting-values.ts';
import { type LogLevel, SETTINGS, type SettingKey, type Settings, type TrailLevel, variableOf } from './settings.ts';
import { ExitCode, reasonOf, StartError } from './start-error.ts';

/** What `Server.start` takes, in the parts that it makes. */
export interface ServerConfig {
  readonly engine: Omit<DirectoryOptions, 'isShared' | 'onFailure' | 'onRepaired'> & {
    readonly policies: readonly Policy[];
  };
  /** Undefined: this node counts alone. */
  readonly region: Pick<RegionSettings, 'url' | 'ack' | 'memoryBytes' | 'retireAfterMs' | 'keepFoldedMs'> | undefined;
  readonly doors: DoorsConfig;
  readonly logLevel: LogLevel;
  /** Allowed settings that deserve a warning in the log. */
  readonly warnings: readonly string[];
}

export interface DoorsConfig {
  /** Undefined: the door is off. */
  readonly http: ListenAddress | undefined;
  readonly resp: ListenAddress | undefined;
  readonly secret: Secret | undefined;
  /** Undefined: the door's default. */
  readonly cors: { readonly origins: readonly string[] | undefined; readonly methods: readonly string[] | undefined };
  readonly allowedHosts: readonly string[] | undefined;
  readonly accessLog: TrailLevel;
  readonly auditLog: TrailLevel;
}

/** Flags as the command line gives them, by setting key, and `config`. */
export type Flags = Readonly<Record<string, unknown>>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** @throws StartError (usage) that names the flag, variable or key */
export async function loadConfig(flags: Flags, environment: Environment): Promise<ServerConfig> {
  if ('secret' in flags) {
    throw new StartError(
      '--secret: other users would see it in the list of processes; put it in a file of its own and name that with ' +
        '--secret-file, or set TALLYD_SECRET',
      { exitCode: ExitCode.usage },
    );
  }
  const path = flags['config'] ?? given(environment, 'TALLYD_CONFIG');
  const file = path === undefined ? NO_FILE : await readConfigFile(String(path));
  try {
    return await resolve(flags, environment, file);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new StartError(error.message, { exitCode: ExitCode.usage });
  }
}

/**
 * Share of the heap's limit for shared counters: the default, and the maximum without a warning. Their garbage needs
 * room, too.
 */
const HEAP_PART = 0.5;
const HEAP_PART_MAX = 0.63;
const NO_FILE: ConfigFile = { values: new Map(), policies: [] };

/** An empty variable counts as unset: compose files pass an empty value for a missing one. */
function given(environment: Environment, variable: string): string | undefined {
  const value = environment[variable];
  return value === '' ? undefined : value;
}

async function resolve(flags: Flags, environment: Environment, file: ConfigFile): Promise<ServerConfig> {
  const { settings, sources } = collect(flags, environment, file);
  const { http, resp } = settings;
  if (http === undefined && resp === undefined) throw new ValueError('http and resp are both off: leave one on');
  const { secret, warnings } = await readSecret(settings, sources, environment);
  for (const [door, address] of Object.entries({ http, resp })) {
    if (address === undefined || isLoopback(address.host) || secret !== undefined) continue;
    if (!settings.insecure) throw openDoor(door, address);
    warnings.push(`${door} on ${showAddress(address)} takes commands from everyone who can reach it: no secret is set`);
  }
  checkShared(settings, file.policies);
  return {
    engine: {
      directory: settings.data,
      takeOver: settings['take-over'],
      durability: settings.durability,
      policies: file.policies,
      idempotency: {
        retentionMs: settings['idempotency-retention'],
        bytesMax: settings['idempotency-bytes'],
        clockSkewMs: settings['idempotency-clock-skew'],
      },
      snapshotJournalBytes: settings['snapshot-journal-bytes'],
      countersMax: settings['counters-max'],
      // With a store it applies to shared counters.
      memoryBytesMax: settings.store === undefined ? settings.memory : undefined,
    },
    region: settings.store === undefined ? undefined : regionOf(settings.store, settings, warnings),
    doors: {
      http,
      resp,
      secret,
      cors: { origins: settings.cors, methods: settings['cors-methods'] },
      allowedHosts: settings['allowed-hosts'],
      accessLog: settings['access-log'],
      auditLog: settings['audit-log'],
    },
    logLevel: settings['log-level'],
    warnings,
  };
}

/** Shared counters that were not used lately leave memory before the heap is full. */
function regionOf(url: string, settings: Settings, warnings: string[]): ServerConfig['region'] {
  const { memory, ack } = settings;
  const heapBytes = getHeapStatistics().heap_size_limit;
  if (memory !== undefined && memory > heapBytes * HEAP_PART_MAX) {
    const mebibytes = Math.ceil(memory / HEAP_PART_MAX / 2 ** 20);
    warnings.push(
      `memory is more than the heap of Node.js has room for: set NODE_OPTIONS=--max-old-space-size=${mebibytes}`,
    );
  }
  const memoryBytes = memory ?? Math.floor(heapBytes * HEAP_PART);
  return { url, ack, memoryBytes, retireAfterMs: settings['retire-after'], keepFoldedMs: settings['keep-folded'] };
}

/** Policies that shared counters do not support yet are refused here, not at the first update. */
function checkShared(settings: Settings, policies: readonly Policy[]): void {
  if (settings.store === undefined) {
    if (settings.ack === 'store') throw new ValueError('ack is store, and no store is named: name one with --store');
    return;
  }
  for (const { match, scope, floor, ceiling, saturate, ttlMs } of policies) {
    const isPlain = floor === undefined && ceiling === undefined && saturate !== true && ttlMs === undefined;
    if (scope === 'local' || isPlain) continue;
    throw new ValueError(
      `the policy of ${match} has bounds or a ttl, which counters that are shared through a store cannot have: add "scope: local"`,
    );
  }
}

type Source = 'flag' | 'variable' | 'file';

function collect(
  flags: Flags,
  environment: Environment,
  file: ConfigFile,
): { settings: Settings; sources: ReadonlyMap<SettingKey, Source> } {
  const settings: Partial<Record<SettingKey, unknown>> = {};
  const sources = new Map<SettingKey, Source>();
  for (const { key, parse, default: fallback } of SETTINGS) {
    settings[key] = fallback === undefined ? undefined : parse(fallback);
    // From the weakest to the strongest: the last existing one wins.
    const layers: readonly [Source, string, unknown][] = [
      ['file', `config file: ${key}`, file.values.get(key)],
      ['variable', variableOf(key), given(environment, variableOf(key))],
      ['flag', `--${key}`, flags[key]],
    ];
    for (const [source, name, value] of layers) {
      if (value === undefined) continue;
      settings[key] = named(name, () => parse(value));
      sources.set(key, source);
    }
  }
  // Each value comes from the parser of its key.
  return { settings: settings as Settings, sources };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

function openDoor(door: string, address: ListenAddress): ValueError {
  return new ValueError(
    `${door} ${showAddress(address)} is not a loopback address, and no secret is set: ` +
      'set TALLYD_SECRET or --secret-file, or say --insecure if everyone who can reach it may count',
  );
}

async function readSecret(
  settings: Settings,
  sources: ReadonlyMap<SettingKey, Source>,
  environment: Environment,
): Promise<{ secret: Secret | undefined; warnings: string[] }> {
  const variable = environment['TALLYD_SECRET'];
  const path = settings['secret-file'];
  const source = sources.get('secret-file');
  if (variable !== undefined && source !== 'flag') {
    if (source === 'variable') throw new ValueError('TALLYD_SECRET and TALLYD_SECRET_FILE are both set: unset one');
    return { secret: named('TALLYD_SECRET', () => parseSecret(variable)), warnings: [] };
  }
  if (path === undefined) return { secret: undefined, warnings: [] };
  let text: string;
  let mode: number;
  try {
    text = await readFile(path, 'utf8');
    mode = (await stat(path)).mode;
  } catch (error) {
    throw new ValueError(
      `secret-file ${path} cannot be read: ${reasonOf(error)}; name another with --secret-file, or set TALLYD_SECRET`,
    );
  }
  const secret = named(`secret-file ${path}`, () => parseSecret(text.replace(/\r?\n$/, '')));
  const isOpen = (mode & 0o077) !== 0;
  return { secret, warnings: isOpen ? [`secret-file ${path} can be read by other users: chmod 600 it`] : [] };
}

/** Never shows the refused value. */
function parseSecret(text: string): Secret {
  if (text === '') throw new ValueError('the secret is empty; write one, or leave the setting out');
  // Characters that an HTTP header can carry.
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw new ValueError('the secret holds blanks, line breaks or characters beyond ASCII; use printable ASCII');
  }
  if (text.length > SECRET_BYTES_MAX) {
    throw new ValueError(`the secret is longer than ${SECRET_BYTES_MAX} characters; use a shorter one`);
  }
  return new Secret(parseText(text));
}
