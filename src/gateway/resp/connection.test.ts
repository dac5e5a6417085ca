// How connections end, and what they are not allowed. The service holds chunks until the test lets go.

import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { closeDoors, HeldDoor, until } from '../../../test/wire/held-door.ts';
import { RawClient, request, words } from '../../../test/wire/raw-client.ts';
import { RESP_TRANSACTION_COMMANDS_MAX, RESP_TRANSACTION_OTHERS_MAX } from '../../counter/limits.ts';
import { Secret } from '../auth/secret.ts';
import type { RespLimits } from './connection-limits.ts';

afterEach(closeDoors);

describe.each(['direct', 'events'] as const)('transport: %s', (transport) => {
  const open = (limits?: Partial<RespLimits>): Promise<HeldDoor> => HeldDoor.open(transport, limits);

  describe('ends', () => {
    it('a client that is gone leaves its chunk to the service', async () => {
      const { connect, gateway, service } = await open();
      const client = await connect();
      client.send(words('INCR a'));
      await service.submitted(1);
      client.close();
      const other = await connect();
      expect(await other.call('PING')).toBe('+PONG\r\n');
      service.complete();
      await until(() => gateway.connections === 1);
      other.send(words('INCR a'));
      await service.submitted(2);
      service.complete();
      expect(await other.reply()).toBe(':2\r\n');
    });

    it('a client that has sent its last byte still gets its replies', async () => {
      const { connect, gateway, service } = await open();
      const client = await connect();
      client.send(Buffer.concat([words('INCR a'), words('INCR a')]));
      client.socket.end('INCR a\r\nINCR ');
      await service.submitted(1);
      service.complete();
      while (service.seen.flat().length < 3) {
        await service.submitted(service.seen.length + 1);
        service.complete();
      }
      expect(await client.rest()).toBe(':1\r\n:2\r\n:3\r\n');
      await until(() => gateway.connections === 0);
    });

    it('close answers what has arrived, takes nothing more, and leaves nothing open', async () => {
      const { connect, gateway, service } = await open();
      const busy = await connect();
      const idle = await connect();
      const half = await connect();
      half.send('*2\r\n$4\r\nINCR\r\n');
      busy.send(words('INCR a'));
      await service.submitted(1);
      const closing = gateway.close(60_000);
      expect(await idle.rest()).toBe('');
      expect(await half.rest()).toBe('');
      await expect(RawClient.connect(gateway.address)).rejects.toThrow('ECONNREFUSED');
      service.complete();
      expect(await busy.rest()).toBe(':1\r\n');
      for (const client of [busy, idle, half]) client.close();
      await closing;
      expect(gateway.connections).toBe(0);
    });

    it('close cuts what is still open at its deadline', async () => {
      const { clock, connect, gateway, service } = await open();
      const client = await connect();
      client.send(words('INCR a'));
      await service.submitted(1);
      const closing = gateway.close(5000);
      await clock.advance(4999);
      expect(gateway.connections).toBe(1);
      await clock.advance(1);
      await closing;
      expect(await client.rest()).toBe('');
      service.complete();
    });

    it('a client that takes its last replies slowly gets them all', async () => {
      const { clock, connect, gateway } = await open();
      const client = await connect();
      client.socket.pause();
      const text = 'x'.repeat(60_000);
      const count = 300;
      for (let i = 0; i < count; i++) client.send(request('ECHO', text));
      client.send(words('QUIT'));
      await until(() => client.socket.writableLength === 0);
      for (let i = 0; i < count; i++) {
        client.socket.resume();
        expect((await client.reply()).length).toBe(text.length + 10);
        client.socket.pause();
        await clock.advance(100);
      }
      client.socket.resume();
      expect(await client.rest()).toBe('+OK\r\n');
      await clock.advance(6000);
      await until(() => gateway.connections === 0);
    });

    it('after its last reply a client has some time to close, then it is cut', async () => {
      const { clock, connect, gateway, service } = await open();
      const client = await connect();
      expect(await client.call('QUIT')).toBe('+OK\r\n');
      expect(await client.rest()).toBe('');
      // It goes on sending into the void.
      client.send(words('INCR a'));
      await clock.advance(4000);
      expect(gateway.connections).toBe(1);
      await clock.advance(2000);
      await until(() => gateway.connections === 0);
      expect(service.seen).toEqual([]);
    });

    it('nothing of what comes by HTTP is carried out', async () => {
      const { connect, log, service } = await open();
      service.isImmediate = true;
      for (const lines of ['POST / HTTP/1.1\r\nINCR a\r\n', 'INCR a\r\nHost: localhost\r\nINCR a\r\n']) {
        const client = await connect();
        client.send(lines);
        expect(await client.rest()).toBe('');
      }
      expect(service.seen).toEqual([]);
      expect(log.lines.map(({ message }) => message)).toContainEqual(expect.stringContaining('HTTP'));
    });
  });

  describe('who has not shown the secret', () => {
    const stranger = (): Promise<HeldDoor> => HeldDoor.open(transport, {}, { secret: new Secret('open-sesame') });

    it('is closed after five seconds, silent, guessing or half way through a request', async () => {
      const { clock, connect, gateway, service } = await stranger();
      const [silent, half, reset, known] = await Promise.all([connect(), connect(), connect(), connect()]);
      half.send('*2\r\n$4\r\nAUTH\r\n$11\r\nopen');
      expect(await known.call('AUTH', 'open-sesame')).toBe('+OK\r\n');
      await clock.advance(3_000);
      expect(await reset.call('AUTH', 'open-sesame')).toBe('+OK\r\n');
      expect(await reset.call('RESET')).toBe('+RESET\r\n');
      await clock.advance(3_000);
      expect([await silent.rest(), await half.rest()]).toEqual(['', '']);
      await until(() => gateway.connections === 2);
      await clock.advance(3_000);
      expect(await reset.rest()).toBe('');
      service.isImmediate = true;
      expect(await known.call('INCR', 'a')).toBe(':1\r\n');
    });

    it('may guess once a second, however many guesses come at once', async () => {
      const { clock, connect } = await stranger();
      const client = await connect();
      client.send(
        Buffer.concat([words('AUTH a'), words('HELLO 2 AUTH default b'), words('AUTH open-sesame'), words('PING')]),
      );
      const wrong = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
      expect(await client.reply()).toBe(wrong);
      const other = await connect();
      expect(await other.call('AUTH', 'x')).toBe(wrong);
      await clock.advance(1_000);
      expect(await client.reply()).toBe(wrong);
      await clock.advance(1_000);
      expect([await client.reply(), await client.reply()]).toEqual(['+OK\r\n', '+PONG\r\n']);
    });

    it('takes no memory from others, however much follows a wrong guess', async () => {
      const { connect, service } = await HeldDoor.open(
        transport,
        { heldBytesMax: 1_000_000 },
        { secret: new Secret('open-sesame') },
      );
      service.isImmediate = true;
      const known = await connect();
      expect(await known.call('AUTH', 'open-sesame')).toBe('+OK\r\n');
      for (let i = 0; i < 20; i++) {
        (await connect()).send(Buffer.concat([words('AUTH wrong'), Buffer.alloc(300_000, words('PING'))]));
      }
      // Lets the door read as much as it likes.
      for (let i = 0; i < 50; i++) await turn();
      const names = Array<string>(1000).fill('x'.repeat(250));
      expect(await known.call('EXISTS', ...names)).toMatch(/^:\d+\r\n$/);
    });

    it('is heard up to four kilobytes', async () => {
      const { connect } = await stranger();
      for (const bytes of [request('AUTH', 'x'.repeat(4_090)), `*2\r\n$4\r\nAUTH\r\n$4097\r\n`, 'x'.repeat(4_097)]) {
        const client = await connect();
        client.send(bytes);
        expect(await client.rest()).toMatch(/^-ERR Protocol error/);
      }
    });
  });

  it('a stop closes idle connections at once', async () => {
    const { connect, gateway } = await open();
    const client = await connect();
    expect(await client.call('PING')).toBe('+PONG\r\n');
    // The client does not close its side, and the clock of the door stands still.
    await gateway.close(60_000);
    expect(await client.rest()).toBe('');
  });

  describe('limits', () => {
    it('refuses a connection too many, in the words of Redis, and takes one when another has gone', async () => {
      const { connect, gateway } = await HeldDoor.open(transport, {}, { connectionsMax: 2 });
      const first = await connect();
      const second = await connect();
      expect([await first.call('PING'), await second.call('PING')]).toEqual(['+PONG\r\n', '+PONG\r\n']);
      expect(await (await connect()).rest()).toBe('-ERR max number of clients reached\r\n');
      first.close();
      await until(() => gateway.connections === 1);
      expect(await (await connect()).call('PING')).toBe('+PONG\r\n');
    });

    it('cuts a client that sends half a request and no more', async () => {
      const { clock, connect, gateway, log } = await open();
      const client = await connect();
      const idle = await connect();
      expect(await idle.call('PING')).toBe('+PONG\r\n');
      client.send(Buffer.concat([words('PING'), Buffer.from('*2\r\n$4\r\nINCR\r\n$100\r\nabc')]));
      expect(await client.reply()).toBe('+PONG\r\n');
      await clock.advance(59_000);
      client.send('def');
      await until(() => client.socket.writableLength === 0);
      expect(gateway.connections).toBe(2);
      await clock.advance(2000);
      expect(await client.rest()).toBe('');
      expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'connection cut' }));
      // Who sends nothing may stay for ever.
      await clock.advance(10_000_000);
      expect(await idle.call('PING')).toBe('+PONG\r\n');
    });

    it('does not blame a client for the time that the service takes', async () => {
      const { clock, connect, service } = await open();
      const client = await connect();
      client.send(Buffer.concat([words('PING'), Buffer.from('*2\r\n')]));
      expect(await client.reply()).toBe('+PONG\r\n');
      client.send('$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$4\r\nINCR\r\n');
      await service.submitted(1);
      await clock.advance(600_000);
      service.complete();
      expect(await client.reply()).toBe(':1\r\n');
      client.send('$1\r\na\r\n');
      await service.submitted(2);
      service.complete();
      expect(await client.reply()).toBe(':2\r\n');
    });

    it('cuts a client that does not read its replies', async () => {
      const { connect, gateway, log } = await open({ outputBytesMax: 1_000_000 });
      const client = await connect();
      client.socket.pause();
      const echo = request('ECHO', 'x'.repeat(60_000));
      // The kernel takes a few megabytes before the server has to hold any.
      for (let i = 0; i < 500; i++) client.send(echo);
      await until(() => log.lines.length > 0);
      expect(log.lines[0]).toMatchObject({ message: 'connection cut', data: { reason: 'replies are not being read' } });
      await until(() => gateway.connections === 0);
    });

    it('keeps the replies of a slow reader as they are while others are answered', async () => {
      const { connect, service } = await open();
      service.isImmediate = true;
      const slow = await connect();
      const other = await connect();
      slow.socket.pause();
      const texts = Array.from({ length: 300 }, (_, i) => String.fromCharCode(65 + (i % 26)).repeat(60_000 - i));
      for (const text of texts) {
        slow.send(request('ECHO', text));
        other.send(words('INCR a'));
        expect(await other.reply()).toMatch(/^:/);
      }
      slow.socket.resume();
      for (const text of texts) {
        const reply = await slow.reply();
        expect(reply === `$${text.length}\r\n${text}\r\n`, reply.slice(0, 80)).toBe(true);
      }
    });

    it('cuts who asks for more when all connections together hold too many bytes', async () => {
      const { connect, gateway, log, service } = await open({ heldBytesMax: 1_000_000, requestMs: 1e9 });
      const half = Buffer.concat([Buffer.from('*100\r\n'), request('x'.repeat(60_000)).subarray(4)]);
      const holding = await Promise.all([connect(), connect(), connect(), connect(), connect(), connect()]);
      for (const client of holding) client.send(half);
      const greedy = await connect();
      greedy.send(
        Buffer.concat([Buffer.from('*200\r\n'), Buffer.alloc(2_000_000, request('x'.repeat(10_000)).subarray(4))]),
      );
      expect(await greedy.rest()).toBe('');
      expect(log.lines[0]).toMatchObject({ data: { reason: 'all connections together hold too many bytes' } });
      for (const client of holding) client.close();
      await until(() => gateway.connections === 0);
      // What was held has been given back: there is room again.
      const next = await connect();
      next.send(request('EXISTS', ...Array<string>(1000).fill('x'.repeat(250))));
      await service.submitted(1);
      service.complete();
      expect(await next.reply()).toBe(':0\r\n');
    });

    it('counts what is under way, too, and leaves an equal share to everybody', async () => {
      const { connect, gateway, service } = await open({ heldBytesMax: 1_000_000 });
      const commands = Buffer.concat(Array<Buffer>(2000).fill(words('INCR a')));
      for (let i = 0; i < 20; i++) (await connect()).send(commands);
      const few = await connect();
      few.send(words('INCR a'));
      await until(() => gateway.connections < 10);
      await until(() => service.seen.some((seen) => seen.length === 1));
      expect(gateway.connections).toBeGreaterThan(3);
      while (service.isHolding) service.complete();
      expect(await few.reply()).toMatch(/^:\d+\r\n$/);
    });

    it('reads ahead only so far while a chunk is under way', async () => {
      const { connect, service } = await open({ unreadBytesMax: 1000 });
      const client = await connect();
      const frame = words('INCR abcdefghij');
      const count = 20_000;
      client.send(Buffer.alloc(frame.length * count, frame));
      await service.submitted(1);
      for (let done = 0; done < count; ) {
        // Lets the door read as much as it likes.
        for (let i = 0; i < 20; i++) await turn();
        const chunk = service.seen.at(-1) ?? [];
        // One delivery of the socket has at most 64 KiB.
        expect(chunk.length * frame.length).toBeLessThanOrEqual(1000 + 2 * 65_536);
        done += chunk.length;
        const submitted = service.seen.length;
        service.complete();
        if (done < count) await service.submitted(submitted + 1);
      }
      for (let i = 1; i <= count; i++) expect(await client.reply()).toBe(`:${i}\r\n`);
    });

    it('spoils a transaction of too many commands, counters or bytes', async () => {
      const { connect, service } = await open();
      const client = await connect();
      const names = Array<string>(9000).fill('a');
      const large = request('DEL', 'x'.repeat(60_000));
      for (const [frame, fits] of [
        [words('INCR a'), RESP_TRANSACTION_COMMANDS_MAX],
        [request('MGET', ...names), 1],
        [large, 139],
        [request('SET', 'a', '1', ...Array<string>(5000).fill('')), 104],
        // EXEC would carry out all of them in one turn.
        [words('INFO'), RESP_TRANSACTION_OTHERS_MAX],
      ] as const) {
        client.send(words('MULTI'));
        expect(await client.reply()).toBe('+OK\r\n');
        for (let i = 0; i <= fits; i++) client.send(frame);
        for (let i = 0; i < fits; i++) expect(await client.reply()).toBe('+QUEUED\r\n');
        expect(await client.reply()).toBe('-ERR too many commands in one transaction\r\n');
        expect(await client.call('EXEC')).toBe('-EXECABORT Transaction discarded because of previous errors.\r\n');
      }
      expect(service.seen).toEqual([]);
    });
  });
});
