// Checks in a trace of system calls that nothing left the process before it was durable: for each count that a socket
// write carries there has been a write to the journal with a frame that holds that counter at this count or beyond, and
// an fdatasync of the file that began after that write had returned, and returned 0 before the socket write began.
//
// The counters only grow, so "this count or beyond" is what is durable: the greatest count in a covered frame.

import type { DiskFile } from '../../src/host/host.ts';
import { replayFrame } from '../../src/journal/decode.ts';
import { ValueEntry } from '../../src/journal/entries/value.ts';
import { FILE_HEADER_BYTES } from '../../src/journal/format.ts';
import { FrameReader, Window } from '../../src/journal/frame.ts';
import { readSegmentHeader } from '../../src/journal/header.ts';
import { NOTHING } from '../../src/journal/snapshot-reader.ts';
import type { CallEvent, SystemCall } from './system-calls.ts';

/** A connection of the load: all that it is told are counts of one counter. */
export interface Asker {
  readonly role: string;
  readonly counter: string;
  readonly protocol: 'resp' | 'http';
}

export interface Finding {
  readonly role: string;
  readonly told: bigint;
  /** The count of that counter that was durable then. */
  readonly durable: bigint;
}

export interface OrderReport {
  /** Counts told, by role. */
  readonly checked: Readonly<Record<string, number>>;
  /** Counts that left before they were durable. */
  readonly early: readonly Finding[];
  readonly syncs: number;
}

type Counts = Map<string, bigint>;

const SEGMENT = /\/(journal-(\d+)\.log)(?:\.new)?$/;
const PEER = /^TCP:\[.*->.*:(\d+)\]$/;
const SENDING = ['write', 'writev', 'sendto', 'sendmsg'];

/** @param askers by the client's port */
export async function checkOrder(
  events: readonly CallEvent[],
  askers: ReadonlyMap<number, Asker>,
): Promise<OrderReport> {
  const journal = new JournalTrace();
  const replies = new Map<Asker, RespReplies>();
  const checked: Record<string, number> = {};
  const early: Finding[] = [];
  for (const { kind, call } of events) {
    const segment = SEGMENT.exec(call.target);
    if (segment !== null) await journal.follow(kind, call, segment[1] ?? '', Number(segment[2]));
    const asker = askers.get(Number(PEER.exec(call.target)?.[1]));
    if (asker === undefined || kind !== 'entry' || !SENDING.includes(call.name)) continue;
    const sent = call.bytes.toString('latin1', 0, Math.max(call.result ?? 0, 0));
    const durable = journal.durable.get(asker.counter) ?? 0n;
    for (const { told, known } of countsIn(sent, asker, durable, replies)) {
      checked[asker.role] = (checked[asker.role] ?? 0) + 1;
      if (told > known) early.push({ role: asker.role, told, durable: known });
    }
  }
  return { checked, early, syncs: journal.syncs };
}

/** The counts in what was sent, each with what was durable when its first byte left. */
function countsIn(
  sent: string,
  asker: Asker,
  durable: bigint,
  replies: Map<Asker, RespReplies>,
): { told: bigint; known: bigint }[] {
  if (asker.protocol === 'http') {
    return [...sent.matchAll(/"value":(\d+)/g)].map((match) => ({ told: BigInt(match[1] ?? ''), known: durable }));
  }
  const stream = replies.get(asker) ?? new RespReplies();
  replies.set(asker, stream);
  return stream.counts(sent, durable);
}

/** The replies of one connection: `:N`, or `$LENGTH` and `N` on the next line. */
class RespReplies {
  #rest = '';
  #knownAtStart = 0n;

  counts(sent: string, durable: bigint): { told: bigint; known: bigint }[] {
    const found: { told: bigint; known: bigint }[] = [];
    const lines = (this.#rest + sent).split('\r\n');
    for (const [at, line] of lines.slice(0, -1).entries()) {
      const known = at === 0 && this.#rest !== '' ? this.#knownAtStart : durable;
      const match = /^:?(\d+)$/.exec(line);
      if (match !== null) found.push({ told: BigInt(match[1] ?? ''), known });
      else if (!/^\$\d+$/.test(line)) throw new Error(`unexpected reply ${JSON.stringify(line)}`);
    }
    if (lines.length > 1 || this.#rest === '') this.#knownAtStart = durable;
    this.#rest = lines.at(-1) ?? '';
    return found;
  }
}

/** The journal as the trace shows it: what its writes hold, and which of them a sync has covered. */
class JournalTrace {
  readonly durable: Counts = new Map();
  syncs = 0;
  readonly #segments = new Map<string, TracedSegment>();
  readonly #window = new Window();

  async follow(kind: CallEvent['kind'], call: SystemCall, name: string, number: number): Promise<void> {
    const segment = this.#segments.get(name) ?? new TracedSegment();
    this.#segments.set(name, segment);
    if (call.name === 'pwrite64' && kind === 'exit') {
      if (call.result !== call.bytes.length) throw new Error(`a write to ${name} returned ${call.result}`);
      // Space that is allocated ahead.
      if (call.bytes.every((byte) => byte === 0)) return;
      segment.keep(call.bytes, call.lastNumber);
      if (call.lastNumber < FILE_HEADER_BYTES) segment.id = (await readSegmentHeader(segment, name, number)).id;
      else segment.written.push(await segment.countsBehind(call.lastNumber, this.#window));
    } else if (call.name === 'fdatasync' && kind === 'entry') {
      segment.covered.set(call, [...segment.written]);
    } else if (call.name === 'fdatasync') {
      if (call.result !== 0) throw new Error(`an fdatasync of ${name} returned ${call.result}`);
      this.syncs++;
      for (const counts of segment.covered.get(call) ?? []) this.#raise(counts);
    }
  }

  #raise(counts: Counts): void {
    for (const [name, count] of counts) {
      if (count > (this.durable.get(name) ?? -1n)) this.durable.set(name, count);
    }
  }
}

/** One segment, put together from the writes to it; reads as a file. */
class TracedSegment implements DiskFile {
  id: Uint8Array = new Uint8Array();
  /** What each write that has returned holds. */
  readonly written: Counts[] = [];
  /** Per sync under way: what had been written when it began. */
  readonly covered = new Map<SystemCall, readonly Counts[]>();
  #bytes = Buffer.alloc(0);

  keep(bytes: Buffer, offset: number): void {
    const larger = Buffer.alloc(Math.max(this.#bytes.length, offset + bytes.length));
    this.#bytes.copy(larger);
    bytes.copy(larger, offset);
    this.#bytes = larger;
  }

  /** The counts in the frames from `offset` on. */
  async countsBehind(offset: number, window: Window): Promise<Counts> {
    const counts: Counts = new Map();
    const reader = new FrameReader(this, this.id, this.#bytes.length, window);
    for (let at = offset; at < this.#bytes.length; at += reader.paddedLength) {
      if (!reader.holds(at)) await reader.load(at);
      if (!reader.check(at)) throw new Error(`no frame in the trace at ${at}: ${reader.reason}`);
      replayFrame(
        reader,
        { file: 'trace', offset: at },
        {
          ...NOTHING,
          values({ words, view, at, count }) {
            for (const word of at.subarray(0, count)) {
              const key = (word + ValueEntry.key) * 4;
              const nameLength = words[word + ValueEntry.kindAndLength] >>> 8;
              const name = Buffer.from(view.buffer, key, nameLength).toString();
              const low = words[word + ValueEntry.low] >>> 0;
              counts.set(name, (BigInt(words[word + ValueEntry.high]) << 32n) | BigInt(low));
            }
          },
        },
      );
    }
    return counts;
  }

  size(): Promise<number> {
    return Promise.resolve(this.#bytes.length);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return Promise.resolve(this.#bytes.copy(target, 0, position, position + target.length));
  }

  write(): Promise<void> {
    return Promise.reject(new Error('a trace is only read'));
  }

  sync(): Promise<void> {
    return this.write();
  }

  truncate(): Promise<void> {
    return this.write();
  }

  hasName(): Promise<boolean> {
    return Promise.resolve(true);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
