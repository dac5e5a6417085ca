/**
 * Chunks on their way into the gathering group, in order of arrival: as many as the group and the turn of the event
 * loop have room for. A large chunk is applied part by part, in as many turns as it takes, unless it is all or nothing.
 *
 * Invariants:
 * - While anything waits, only the first waiting chunk is applied: no command of another chunk comes between two parts.
 * - Parts may be in several groups. If one of these has failed, the rest is not applied, and the chunk ends *unknown*.
 */
import type { Chunk } from '../counter/chunk.ts';
import { ERRORS } from '../counter/errors.ts';
import type { Durability } from '../counter/service.ts';
import { throwSoon } from '../host/fault.ts';
import type { Clock } from '../host/host.ts';
import type { Commands } from './commands.ts';
import type { Committer } from './committer.ts';
import type { Group } from './group.ts';
import { NO_GROUP } from './records.ts';
import type { Submission } from './submission.ts';
import type { Turns } from './turns.ts';

/** Commands of a part. With an idempotency key for each, a part takes some 5 ms. */
const PART_COMMANDS = 2_048;

export interface ArrivalsOptions {
  readonly submission: Submission;
  readonly commands: Commands;
  readonly committer: Committer;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly durability: Durability;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  /** Bounded by the pending requests of the doors. */
  readonly #waiting: Chunk[] = [];
  /**
   * For the first waiting chunk: how much of it is applied, the newest group it depends on, and the failure count at
   * that time.
   */
  #applied = 0;
  #dependency = NO_GROUP;
  #failures = 0;
  /** Commands applied since the start. */
  commands = 0;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whether this many commands can be applied now without overtaking others. */
  hasRoom(commands: number): boolean {
    return this.isEmpty && this.#options.committer.hasRoom(commands);
  }

  /** Applies the chunk when its turn comes, and completes it when it is durable as the mode requires. */
  take(chunk: Chunk): void {
    if (this.isEmpty && this.#advance(chunk)) return;
    chunk.keepNames();
    this.#waiting.push(chunk);
    this.#options.committer.kick();
  }

  /** Applies waiting chunks as long as there is room. */
  drain(): void {
    let taken = 0;
    for (const chunk of this.#waiting) {
      if (!this.#advance(chunk)) break;
      taken++;
    }
    this.#waiting.splice(0, taken);
  }

  /**
   * Applies the commands `[from, to)`, and starts the commit of what they changed. @returns the order of the group to
   * wait for.
   */
  execute(chunk: Chunk, from: number, to: number): number {
    const { submission, commands, committer, turns, clock } = this.#options;
    this.commands += to - from;
    let dependency: number;
    try {
      dependency = submission.execute(chunk, from, to, clock.nowMs());
    } catch (fault) {
      // Partly executed, without its key: none of it may become durable, and the process ends even if this error is
      // caught.
      committer.close();
      throwSoon(clock, fault);
      throw fault;
    }
    turns.spendCommands(to - from, commands.slow, submission.keys);
    if (!committer.gathering.isEmpty) committer.kick();
    return dependency;
  }

  /** Applies as much of the first chunk as there is room for. @returns whether that was the rest */
  #advance(chunk: Chunk): boolean {
    const { committer, turns, durability } = this.#options;
    if (this.#applied > 0 && this.#failures !== committer.failures) {
      chunk.refusal = ERRORS.outcome_unknown.id;
      this.#applied = 0;
      chunk.complete();
      return true;
    }
    const isWhole = chunk.atomic || chunk.key !== undefined || chunk.transactions.length > 0;
    let group: Group | undefined;
    do {
      const from = this.#applied;
      const to = isWhole ? chunk.count : Math.min(from + PART_COMMANDS, chunk.count);
      if (!committer.hasRoom(to - from) || !turns.takesCommands(to - from)) return false;
      const dependency = this.execute(chunk, from, to);
      if (from === 0 || dependency !== NO_GROUP) this.#dependency = dependency;
      group = committer.undurable(this.#dependency);
      // An unsealed group: use the number it will get when sealed. If the journal fails first, a group with a lower
      // number restates its content.
      if (group !== undefined) chunk.sequence = group.sequence > 0n ? group.sequence : committer.newestSequence;
      this.#failures = committer.failures;
      this.#applied = to;
    } while (this.#applied < chunk.count);
    this.#applied = 0;
    if (group === undefined || durability === 'off') chunk.complete();
    else if (durability === 'interval' && group.written) chunk.complete();
    else group.chunks.push(chunk);
    return true;
  }
}
