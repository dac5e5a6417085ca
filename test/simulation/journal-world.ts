/**
 * A small engine over a journal over a simulated disk, from one seed, and the oracle that judges every recovery:
 * what was durable is there, in order and gapless; nothing is there that was never written; the state is the one
 * that belonged to the last group recovered.
 */
import { GroupBuffer } from '../../src/journal/group.ts';
import { Journal } from '../../src/journal/journal.ts';
import { SeededRandom } from '../../src/std/random.ts';
import type { SimulatedDisk } from './disk.ts';
import { type SimulatedHost, simulatedHost } from './host.ts';
import {
  type ModelEntry,
  type ModelKey,
  type ModelState,
  nameOf,
  put,
  Recorder,
  replayEntry,
  stateText,
} from './journal-model.ts';
import { OracleComplaint } from './oracle.ts';

/** A group as it was once; the same number may be given again after a failure. */
interface Gathered {
  readonly sequence: bigint;
  /** Grows with every group, whatever its number. */
  readonly age: number;
  readonly entries: readonly ModelEntry[];
  readonly stateAfter: string;
}

const SEGMENT_BYTES_MAX = 12 * 1024;

export class JournalWorld {
  readonly seed: number;
  disk: SimulatedDisk;
  readonly host: SimulatedHost;
  readonly #random: SeededRandom;
  #journal: Journal | undefined;
  #state: ModelState = new Map();
  #sequence = 0n;
  /** Gathered and not written. */
  /** Reused, as an engine does, also while a hanging write still reads one. */
  readonly #buffers: GroupBuffer[] = [];
  #pending: Gathered[] = [];
  /** Handed to the journal and not durable. Those that it has taken are in the system's cache. */
  #written: Gathered[] = [];
  /** By sequence number, what a recovery may find: everything ever written, or the one that was durable. */
  readonly #acceptable = new Map<bigint, readonly Gathered[]>();
  #durableSequence = 0n;
  /**
   * The age of the newest group that the journal has taken: the system has it, so killing the process must not lose it.
   */
  #writtenAge = 0;
  /** The least that the next recovery must show. */
  #floorAge = 0;
  #ages = 0;
  #waiters: { sequence: bigint; resolve: () => void; reject: (error: Error) => void }[] = [];
  #snapshot: Promise<unknown> | undefined;
  /** What happened, for the tests to ask whether they saw it. */
  readonly counts = { failures: 0, snapshots: 0, failedSnapshots: 0, recoveries: 0, lostGroups: 0, keptGroups: 0 };

  constructor(seed: number, disk: SimulatedDisk) {
    this.seed = seed;
    this.disk = disk;
    this.host = simulatedHost(seed + 1);
    this.#random = new SeededRandom(seed + 2);
  }

  get durableSequence(): bigint {
    return this.#durableSequence;
  }

  /** The process is gone: what the system has is there for the next one. */
  kill(): void {
    this.disk = this.disk.kill();
    this.#floorAge = this.#writtenAge;
  }

  /** The power is gone: what the system had may be gone with it. */
  crash(): void {
    this.disk = this.disk.crash();
    this.#floorAge = 0;
  }

  /** Opens the journal and judges what it recovers. @throws when the journal refuses, or the oracle does */
  async open(): Promise<void> {
    const replay = new Recorder();
    const { disk, host } = this;
    const names = await disk.list();
    const segmentBytesMax = SEGMENT_BYTES_MAX;
    const allocateBytes = (this.seed % 3) * 2048;
    this.#journal = await this.#inTime(
      Journal.open({ disk, host, replay, segmentBytesMax, writeDeadlineMs: 1000, allocateBytes }),
    );
    const found = this.#judge(replay, this.#journal.sequence, names);
    this.counts.recoveries++;
    this.counts.lostGroups += Number(this.#sequence - this.#journal.sequence);
    this.counts.keptGroups += Number(this.#journal.sequence - this.#durableSequence);
    this.#state = replay.state;
    this.#sequence = this.#journal.sequence;
    this.#pending = [];
    this.#written = [];
    this.#waiters = [];
    this.#snapshot = undefined;
    // What one start has recovered is durable for the next, and what it has lost never comes back.
    for (const sequence of this.#acceptable.keys()) if (sequence > this.#sequence) this.#acceptable.delete(sequence);
    for (const [sequence, groups] of found) this.#acceptable.set(sequence, groups);
    this.#durableSequence = this.#sequence;
    this.#writtenAge = 0;
  }

  /** Goes on for so many random steps, and ends with everything durable. */
  async run(steps: number, hasSnapshots = true): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step(hasSnapshots);
    await this.#commit();
    if (this.#snapshot !== undefined) await this.#inTime(this.#snapshot);
    await this.#commit();
  }

  async #step(hasSnapshots: boolean): Promise<void> {
    const chance = this.#random.below(100);
    if (chance < 45) this.#gather();
    else if (chance < 65) await this.#guarded((journal) => this.#write(journal));
    else if (chance < 88) await this.#commit();
    else if (chance < 94) await this.#mark();
    else if (hasSnapshots && this.#snapshot === undefined) this.#startSnapshot();
  }

  async #commit(): Promise<void> {
    await this.#guarded(async (journal) => {
      await this.#write(journal);
      await journal.sync();
      this.#becomeDurable(this.#written.splice(0));
    });
  }

  /** When traffic pauses, an empty group tells that the one before it is durable. */
  async #mark(): Promise<void> {
    await this.#commit();
    if (this.#journal?.needsMark !== true) return;
    this.#pending.push(this.#group([]));
    await this.#commit();
  }

  async #write(journal: Journal): Promise<void> {
    const groups = this.#pending.splice(0);
    this.#written.push(...groups);
    for (const group of groups) this.#accept(group);
    await journal.write(this.#encoded(groups));
    this.#writtenAge = groups.at(-1)?.age ?? this.#writtenAge;
  }

  /** Changes a few records and puts their states into a group. */
  #gather(): void {
    const entries: ModelEntry[] = [];
    const count = 1 + this.#random.below(this.#random.chance(0.2) ? 30 : 4);
    for (let i = 0; i < count; i++) entries.push(...this.#change());
    for (const entry of entries) replayEntry(this.#state, entry);
    this.#pending.push(this.#group(entries));
  }

  #group(entries: readonly ModelEntry[]): Gathered {
    return { sequence: ++this.#sequence, age: ++this.#ages, entries, stateAfter: stateText(this.#state) };
  }

  #change(): ModelEntry[] {
    const random = this.#random;
    const key = this.#key();
    const chance = random.below(10);
    if (chance === 0) return [{ entry: 'delete', key }];
    if (chance === 1) return [{ entry: 'forgotten', from: 1, through: Number(this.#sequence) }];
    if (chance === 2) {
      const answer = 'x'.repeat(random.below(40));
      return [{ entry: 'idempotency', key: `key ${random.below(100)}`, answer, ms: random.below(2 ** 31) * 4096 }];
    }
    const value = {
      entry: 'value',
      key,
      low: random.uint32() | 0,
      high: random.uint32() | 0,
      at: random.uint32(),
    } as const;
    return chance === 3 ? [value, { entry: 'deadline', key, ms: random.below(2 ** 31) * 2 ** 21 }] : [value];
  }

  #key(): ModelKey {
    const kind = this.#random.chance(0.1) ? 1 : 0;
    const length = this.#random.chance(0.1) ? 255 : 1 + this.#random.below(12);
    const letter = String.fromCharCode(this.#random.pick([0, 65, 66, 255]));
    return { kind, bytes: letter.repeat(length) + (kind === 1 ? '12345678' : '') };
  }

  #startSnapshot(): void {
    const journal = this.#journal as Journal;
    // A real table gives current states as it is scanned; the parts go on while groups come in.
    let names: string[] | undefined;
    const source = {
      next: (part: GroupBuffer) => {
        names ??= [...this.#state.keys()];
        for (const name of names.splice(0, 5)) for (const entry of this.#state.get(name) ?? []) put(part, entry);
        return names.length > 0 || this.#random.chance(0.3);
      },
    };
    const durableThrough = (sequence: bigint) =>
      new Promise<void>((resolve, reject) => {
        this.#waiters.push({ sequence, resolve, reject });
        if (sequence <= this.#durableSequence) resolve();
      });
    const done = () => {
      this.#snapshot = undefined;
      this.counts.snapshots++;
    };
    const failed = () => {
      this.#snapshot = undefined;
      this.counts.failedSnapshots++;
    };
    this.#snapshot = journal.snapshot(source, () => this.#sequence, durableThrough).then(done, failed);
  }

  /** Runs operations on the journal; when they fail, does what the engine does. */
  async #guarded(work: (journal: Journal) => Promise<void>): Promise<void> {
    const journal = this.#journal as Journal;
    try {
      await this.#inTime(work(journal));
    } catch (error) {
      if (journal.failure === undefined) throw error;
      this.counts.failures++;
      await this.#repair(journal);
    }
  }

  /** A new segment whose first group states again everything touched since the last durable group. */
  async #repair(journal: Journal): Promise<void> {
    const touched = [...this.#written.splice(0), ...this.#pending.splice(0)].flatMap((group) => group.entries);
    const names = [...new Set(touched.map(nameOf))];
    // Numbers are given anew from here on: a snapshot that has begun would state an end that means something else.
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new Error('the journal has failed'));
    for (let attempt = 0; ; attempt++) {
      try {
        let group: Gathered | undefined;
        const restate = (sequence: bigint): GroupBuffer => {
          // It may know of more: a rotation syncs too.
          if (sequence <= this.#durableSequence)
            throw new OracleComplaint(`seed ${this.seed}: what was durable is given up`);
          this.#sequence = sequence - 1n;
          group = this.#group(names.flatMap((name) => this.#restated(name, touched)));
          this.#accept(group);
          return this.#encoded([group])[0];
        };
        await this.#inTime(journal.replace(restate));
        if (group !== undefined) this.#becomeDurable([group]);
        return;
      } catch (error) {
        if (attempt === 5 || journal.failure === undefined) throw error;
      }
    }
  }

  /** What is there under the name now, or that it was deleted. */
  #restated(name: string, touched: readonly ModelEntry[]): readonly ModelEntry[] {
    return this.#state.get(name) ?? touched.filter((entry) => entry.entry === 'delete' && nameOf(entry) === name);
  }

  /** A recovery may find the group from now on. */
  #accept(group: Gathered): void {
    this.#acceptable.set(group.sequence, [...(this.#acceptable.get(group.sequence) ?? []), group]);
  }

  /** A recovery has to find the groups from now on. */
  #becomeDurable(groups: readonly Gathered[]): void {
    for (const group of groups) {
      this.#acceptable.set(group.sequence, [group]);
      this.#durableSequence = group.sequence;
      this.#writtenAge = group.age;
    }
    for (const waiter of this.#waiters) if (waiter.sequence <= this.#durableSequence) waiter.resolve();
  }

  /** The oracle. @returns what was found, by sequence number. */
  #judge(replay: Recorder, sequence: bigint, names: readonly string[]): Map<bigint, readonly Gathered[]> {
    const complain = (what: string): never => {
      throw new OracleComplaint(`seed ${this.seed}: ${what}`);
    };
    if (sequence < this.#durableSequence)
      complain(`group ${this.#durableSequence} was durable, ${sequence} is the last`);
    const found = new Map<bigint, readonly Gathered[]>();
    const groups = withoutSnapshot(replay, names);
    let expected = sequence - BigInt(groups.length);
    for (const group of groups) {
      if (group.sequence !== ++expected) complain(`group ${group.sequence} came where ${expected} belongs`);
      const entries = JSON.stringify(group.entries);
      const same = (this.#acceptable.get(expected) ?? []).filter((other) => JSON.stringify(other.entries) === entries);
      if (same.length === 0) complain(`group ${expected} is not what was written`);
      found.set(expected, same);
    }
    const state = stateText(replay.state);
    const candidates = found.get(sequence) ?? this.#acceptable.get(sequence) ?? [];
    const last = candidates.filter((group) => group.stateAfter === state);
    if (sequence === 0n ? state !== '[]' : last.length === 0) complain(`the state at group ${sequence} is another`);
    if (Math.max(0, ...last.map(({ age }) => age)) < this.#floorAge)
      complain(`group ${sequence} is the last, and the system had more`);
    return found.set(sequence, last);
  }

  #encoded(groups: readonly Gathered[]): GroupBuffer[] {
    return groups.map((group, i) => {
      this.#buffers[i] ??= new GroupBuffer();
      this.#buffers[i].begin();
      this.#buffers[i].stamp(group.sequence, this.host.clock.nowMs());
      for (const entry of group.entries) put(this.#buffers[i], entry);
      return this.#buffers[i];
    });
  }

  /** Lets time pass while something hangs. */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    work.then(settle, settle);
    await Promise.resolve();
    while (!isSettled) await this.host.clock.advance(100);
    return work;
  }
}

/** The groups that came from segments: a snapshot's parts come first and carry the number in its name. */
function withoutSnapshot(replay: Recorder, names: readonly string[]): Recorder['groups'] {
  const begins = names.map((name) => /^snapshot-(\d+)\.snap$/.exec(name)?.[1]).filter((begin) => begin !== undefined);
  const newest = begins.sort().at(-1);
  return replay.groups.filter((group) => newest === undefined || group.sequence > BigInt(newest));
}
