/** What a command is: data, and a function that turns a request into chunk commands and a planned reply. */
import type { Chunk } from '../../counter/chunk.ts';
import { BATCH_ENTRIES_MAX } from '../../counter/limits.ts';
import type { CountingService } from '../../counter/service.ts';
import type { Clock } from '../../host/host.ts';
import type { Secret } from '../auth/secret.ts';
import type { Log } from '../log.ts';
import type { Trail } from '../trail.ts';
import type { ClientState } from './client-state.ts';
import type { Planned, Replies } from './replies.ts';
import type { Request } from './request.ts';

/** The state of a door that commands can see. */
export interface DoorContext {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly secret: Secret | undefined;
  readonly facts: DoorFacts;
  readonly log: Log;
  readonly trail: Trail;
}

/** The data of INFO, CONFIG GET and LASTSAVE. */
export interface DoorFacts {
  readonly version: string;
  readonly runId: string;
  readonly port: number;
  /** `Clock.monotonicMs` when the door was opened. */
  readonly openedMs: number;
  readonly connections: number;
  readonly connectionsMax: number;
  readonly connectionsAccepted: number;
  readonly connectionsRefused: number;
  /** Unix seconds of the last snapshot that this door was asked for, or of its opening. */
  savedAtSeconds: number;
  /** SAVE and BGSAVE that have not ended. */
  savesUnderWay: number;
}

/** A client, with the commands that it has queued. */
export type Client = ClientState<CommandSpec>;

/** A command's context. One object per batch; the request in it changes. */
export interface CommandContext {
  readonly door: DoorContext;
  readonly client: Client;
  readonly request: Request;
  readonly chunk: Chunk;
  readonly replies: Replies;
}

/** Flags as COMMAND returns them. */
export type CommandFlag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'admin'
  | 'noscript'
  | 'loading'
  | 'stale'
  | 'fast'
  | 'no_auth'
  | 'no_multi';

export interface CommandSpec {
  /** In lower case; a subcommand's is `client|id`. */
  readonly name: string;
  /** The syntax: `INCRBY key increment`. */
  readonly syntax: string;
  readonly summary: string;
  readonly since: string;
  readonly group: 'string' | 'generic' | 'connection' | 'server' | 'transactions' | 'cluster';
  /** Arguments with the name; negative: at least so many. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  /** Positions of the first and last name (negative: from the end) and the step; zeros when there are none. */
  readonly keys: readonly [first: number, last: number, step: number];
  /** How many chunk commands a request with this many arguments pushes. */
  readonly weight: (argumentCount: number) => number;
  /** Between MULTI and EXEC such a request is executed at once instead of queued. */
  readonly immediate: (request: Request) => boolean;
  /** Its reply is large: no further request is read before it is being sent. */
  readonly large: boolean;
  /** Plans the reply. */
  readonly handle: ((context: CommandContext) => Planned) | undefined;
  /**
   * Instead of `handle`, for slow commands. Gets a batch of its own, and plans one reply before it resolves. The
   * request is valid only until the first `await`.
   */
  readonly perform: ((context: CommandContext) => Promise<Planned>) | undefined;
  readonly subcommands: ReadonlyMap<string, CommandSpec> | undefined;
}

type Given = Pick<CommandSpec, 'syntax' | 'summary' | 'group' | 'arity' | 'flags'> & Partial<CommandSpec>;

/** A command's specification; the name is the syntax's first word unless it is given. */
export function command(given: Given): CommandSpec {
  return {
    name: given.syntax.split(' ', 1)[0].toLowerCase(),
    since: '1.0.0',
    keys: [0, 0, 0],
    weight: () => 0,
    immediate: () => false,
    large: false,
    handle: undefined,
    perform: undefined,
    subcommands: undefined,
    ...given,
  };
}

/** A subcommand, whose syntax starts with two words: `CLIENT ID`. */
export function subcommand(given: Given): CommandSpec {
  return command({ name: given.syntax.split(' ', 2).join('|').toLowerCase(), ...given });
}

/** Its subcommands by the second word of their name. */
export function container(
  given: Omit<Given, 'arity' | 'flags'> & Partial<Pick<Given, 'arity' | 'flags'>>,
  subcommands: readonly CommandSpec[],
): CommandSpec {
  const byWord = new Map(subcommands.map((spec) => [spec.name.slice(spec.name.indexOf('|') + 1), spec]));
  return command({ arity: -2, flags: [], ...given, subcommands: byWord });
}

export const ONE_KEY = [1, 1, 1] as const;
export const ALL_KEYS = [1, -1, 1] as const;

/** The weight of a command that takes names only. */
export function perKey(argumentCount: number): number {
  return Math.min(argumentCount - 1, BATCH_ENTRIES_MAX);
}

export function one(): number {
  return 1;
}

/** For `immediate`. */
export function always(): boolean {
  return true;
}

export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const SYNTAX_ERROR = 'ERR syntax error';

/** As Redis says it, for a command by its full name. */
export function wrongArity(spec: CommandSpec): string {
  return `ERR wrong number of arguments for '${spec.name}' command`;
}

export function ok(context: CommandContext): Planned {
  return context.replies.say((writer) => writer.simple('OK'));
}
