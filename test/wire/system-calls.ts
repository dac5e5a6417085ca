// What strace has written about a process: its system calls as a sequence of entries and exits.
//
// Both happen one after the other for strace although threads run side by side: a thread is stopped from the moment
// that it enters or leaves a call until strace has noted it. So an exit noted before an entry came before it.

/** The options of strace that `parseSystemCalls` reads: threads too, descriptors with what they are, bytes in hex. */
export const STRACE_OPTIONS = ['-f', '-qq', '-yy', '-xx', '-s', '16777216'];

export interface SystemCall {
  readonly name: string;
  /** What the first argument's descriptor is: a path, or `TCP:[here->there]`. */
  readonly target: string;
  /** The bytes of all buffers; of a call that fails too. */
  readonly bytes: Buffer;
  /** The last argument, when it is a number: the offset of a positioned write. */
  readonly lastNumber: number;
  /** What it returned; undefined while it has not. */
  result: number | undefined;
}

export interface CallEvent {
  readonly kind: 'entry' | 'exit';
  readonly call: SystemCall;
}

/** Thread, name, what the descriptor is (a path in hex, a connection in clear), the rest. */
const CALL = /^(\d+) +(\w+)\(\d+<(TCP:\[[^\]]+\]|(?:\\x[0-9a-f]{2})*)(?:<[^>]*>)?>(.*)$/;
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>(.*)$/;
const RESULT = /\) += (-?\d+)/;
const UNFINISHED = ' <unfinished ...>';

/** Calls without a descriptor as first argument, signals and exits are left out. */
export function parseSystemCalls(text: string): CallEvent[] {
  const events: CallEvent[] = [];
  const underway = new Map<string, SystemCall>();
  for (const line of text.split('\n')) {
    const resumed = RESUMED.exec(line);
    if (resumed !== null) {
      const call = underway.get(`${resumed[1]} ${resumed[2]}`);
      if (call === undefined) continue;
      call.result = resultOf(resumed[3] ?? '');
      events.push({ kind: 'exit', call });
      continue;
    }
    const match = CALL.exec(line);
    if (match === null) continue;
    const [, thread, name = '', target = '', rest = ''] = match;
    const call = {
      name,
      target: target.startsWith('TCP') ? target : unhex(target).toString(),
      ...argumentsOf(rest),
      result: resultOf(rest),
    };
    events.push({ kind: 'entry', call });
    if (rest.endsWith(UNFINISHED)) underway.set(`${thread} ${name}`, call);
    else events.push({ kind: 'exit', call });
  }
  return events;
}

function argumentsOf(rest: string): { bytes: Buffer; lastNumber: number } {
  const buffers = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)];
  if (buffers.some((buffer) => buffer[2] !== undefined)) throw new Error('strace has cut a buffer short');
  const bytes = Buffer.concat(buffers.map((buffer) => unhex(buffer[1] ?? '')));
  const last = /, (\d+)(?:\) +=.*|( <unfinished \.\.\.>))$/.exec(rest);
  return { bytes, lastNumber: Number(last?.[1] ?? Number.NaN) };
}

function resultOf(rest: string): number | undefined {
  const match = RESULT.exec(rest);
  return match === null ? undefined : Number(match[1]);
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex');
}
