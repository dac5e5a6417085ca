import { afterEach, describe, expect, it, vi } from 'vitest';
import { StoreError } from '../slot-store.ts';
import type { RedisConnection } from './connection.ts';
import { RedisLine } from './line.ts';

type Answer = string | Error | 'silence';

const lines: RedisLine[] = [];
afterEach(() => {
  for (const line of lines.splice(0)) line.close();
});

/** A line whose connections, one after the other, give these answers and then fall silent. */
function lineOver(connections: Answer[][], callMs = 2_000) {
  const sent: string[] = [];
  let made = 0;
  const connect = async (): Promise<RedisConnection> => {
    const number = made++;
    const answers = connections[number];
    if (answers === undefined) throw new Error('connect ECONNREFUSED');
    const send = async (word: string): Promise<unknown> => {
      sent.push(`${number} ${word}`);
      const answer = answers.shift() ?? 'silence';
      if (answer instanceof Error) throw answer;
      return answer === 'silence' ? new Promise(() => undefined) : answer;
    };
    return {
      send: (_, command) => send(command.join(' ')),
      sendToMasters: async (command) => [await send(command.join(' '))],
      end: () => undefined,
    };
  };
  const line = new RedisLine({ connect, callMs, redact: (message) => message.replaceAll('secret', '***') });
  lines.push(line);
  return { line, sent };
}

const lost = new Error('Socket closed unexpectedly');

describe('the line to Redis', () => {
  it('asks again where it was told to, on the same connection', async () => {
    const { line, sent } = lineOver([[new Error('TRYAGAIN Multiple keys'), new Error('CLUSTERDOWN it is'), 'done']]);
    expect(await line.call((call) => call.send('k', ['a']))).toBe('done');
    expect(sent).toEqual(['0 a', '0 a', '0 a']);
  });

  it('asks again on another connection when one is lost, or leads to a replica', async () => {
    const { line, sent } = lineOver([[lost], [new Error('READONLY it is')], ['done']]);
    expect(await line.call((call) => call.send('k', ['a']))).toBe('done');
    expect(sent).toEqual(['0 a', '1 a', '2 a']);
  });

  it('looks up the masters again when they are none', async () => {
    const { line } = lineOver([['replica'], ['master']]);
    const verify = ([role]: readonly unknown[]) => {
      if (role !== 'master') throw new Error('no master');
    };
    expect(await line.call((call) => call.sendToMasters(['role'], verify))).toEqual(['master']);
  });

  it('does not repeat a compare-and-set that may have happened', async () => {
    const { line, sent } = lineOver([[new Error('TRYAGAIN later'), lost], ['done']]);
    await expect(line.call((call) => call.send('k', ['a'], false))).rejects.toThrow(StoreError);
    expect(sent).toEqual(['0 a', '0 a']);
    expect(await line.call((call) => call.send('k', ['b'], false))).toBe('done');
  });

  it('repeats a compare-and-set that never left', async () => {
    const { line } = lineOver([[new Error('The client is closed')], ['done']]);
    expect(await line.call((call) => call.send('k', ['a'], false))).toBe('done');
  });

  it('fails at once with what a server refuses for good, and keeps its secrets', async () => {
    const { line, sent } = lineOver([[new Error('ERR unknown command AUTH, with args secret'), 'done']]);
    await expect(line.call((call) => call.send('k', ['a']))).rejects.toThrow(/^redis: ERR .* \*\*\*$/);
    expect(await line.call((call) => call.send('k', ['b']))).toBe('done');
    expect(sent).toEqual(['0 a', '0 b']);
  });

  it('ends a call without an answer, and asks the next time on another connection', async () => {
    // Longer than the pause between two connections: the second call must not end while it waits for its own.
    const { line } = lineOver([['silence'], ['done']], 500);
    await expect(line.call((call) => call.send('k', ['a']))).rejects.toThrow(StoreError);
    expect(await line.call((call) => call.send('k', ['a']))).toBe('done');
  });

  it('ends its calls when it is closed, also those that nobody answers', async () => {
    const { line, sent } = lineOver([[]], 600_000);
    const call = line.call((it) => it.send('k', ['a']));
    const ended = expect(call).rejects.toThrow(StoreError);
    await vi.waitFor(() => expect(sent).toHaveLength(1));
    line.close();
    await ended;
    await expect(line.call((it) => it.send('k', ['a']))).rejects.toThrow(StoreError);
  });
});
