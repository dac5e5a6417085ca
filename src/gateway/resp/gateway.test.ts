// How requests become chunks, and outcomes replies. The service holds chunks until the test lets go.

import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { closeDoors, HeldDoor, until } from '../../../test/wire/held-door.ts';
import { request, words } from '../../../test/wire/raw-client.ts';
import { ERRORS } from '../../counter/errors.ts';
import { CHUNK_COMMANDS_MAX } from '../../counter/limits.ts';
import type { RespLimits } from './connection-limits.ts';

afterEach(closeDoors);

describe.each(['direct', 'events'] as const)('transport: %s', (transport) => {
  const open = (limits?: Partial<RespLimits>): Promise<HeldDoor> => HeldDoor.open(transport, limits);

  describe('chunks', () => {
    it('what arrives while a chunk is under way becomes the next one', async () => {
      const { connect, service } = await open();
      const client = await connect();
      client.send(words('INCR a'));
      await service.submitted(1);
      for (const line of ['INCR a', 'GET a', 'PING', 'INCRBY b 5']) client.send(words(line));
      client.send('INCR a\r\n');
      await until(() => client.socket.writableLength === 0);
      service.complete();
      expect(await client.reply()).toBe(':1\r\n');
      await service.submitted(2);
      service.complete();
      expect(await client.reply()).toBe(':2\r\n');
      while (service.seen.flat().length < 5) {
        await service.submitted(service.seen.length + 1);
        service.complete();
      }
      expect(service.seen.flat()).toEqual(['add a', 'add a', 'get a', 'add b', 'add a']);
      expect([await client.reply(), await client.reply(), await client.reply(), await client.reply()]).toEqual([
        '$1\r\n2\r\n',
        '+PONG\r\n',
        ':5\r\n',
        ':3\r\n',
      ]);
    });

    it('a pipeline in one delivery is one chunk, whole transactions included', async () => {
      const { connect, service } = await open();
      const client = await connect();
      const lines = ['INCR a', 'MULTI', 'INCR b', 'GET a', 'EXEC', 'INCR c', 'MULTI', 'INCR d', 'EXEC'];
      client.send(Buffer.concat(lines.map(words)));
      await service.submitted(1);
      expect(service.seen).toEqual([['add a', 'add b', 'get a', 'add c', 'add d']]);
      service.complete();
      let replies = '';
      for (let i = 0; i < lines.length; i++) replies += await client.reply();
      expect(replies).toBe(
        ':1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n$1\r\n1\r\n:1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n',
      );
    });

    it('a transaction that arrives in parts keeps its names, and is a chunk of its own', async () => {
      const { connect, service } = await open();
      const client = await connect();
      expect(await client.call('MULTI')).toBe('+OK\r\n');
      expect(await client.call('INCR', 'first')).toBe('+QUEUED\r\n');
      client.send('incr "sec\\x6fnd"\r\n');
      expect(await client.reply()).toBe('+QUEUED\r\n');
      client.send(Buffer.concat([words('INCR third'), words('EXEC'), words('INCR fourth')]));
      await service.submitted(1);
      expect(service.seen).toEqual([['add first', 'add second', 'add third']]);
      service.complete();
      expect([await client.reply(), await client.reply()]).toEqual(['+QUEUED\r\n', '*3\r\n:1\r\n:1\r\n:1\r\n']);
      await service.submitted(2);
      expect(service.seen[1]).toEqual(['add fourth']);
      service.complete();
    });

    it('never holds more commands than a chunk may, and never tears a command or a transaction', async () => {
      const { connect, service } = await open({ unreadBytesMax: 10_000_000 });
      const client = await connect();
      client.send(words('INCR first'));
      await service.submitted(1);
      const transaction = [words('MULTI'), ...Array<Buffer>(2000).fill(words('INCR t')), words('EXEC')];
      const increments = Array<Buffer>(15_000).fill(words('INCR a'));
      const names = request('MGET', ...Array<string>(10_000).fill('m'));
      client.send(
        Buffer.concat([...increments, ...transaction, names, names, ...increments, ...increments, words('PING')]),
      );
      // All of it waits behind the first chunk, and then has to be cut into chunks.
      await until(() => client.socket.writableLength === 0);
      for (let i = 0; i < 100; i++) await turn();
      service.complete();
      service.isImmediate = true;
      let reply = '';
      while (reply !== '+PONG\r\n') {
        reply = await client.reply();
        if (service.isHolding) service.complete();
      }
      for (const chunk of service.seen) expect(chunk.length).toBeLessThanOrEqual(CHUNK_COMMANDS_MAX);
      const counts = (name: string) => service.seen.map((chunk) => chunk.filter((each) => each === name).length);
      expect(counts('add t').filter((count) => count > 0)).toEqual([2000]);
      expect(counts('get m').filter((count) => count > 0)).toEqual([10_000, 10_000]);
      expect(counts('add a').reduce((sum, count) => sum + count)).toBe(45_000);
    });

    it('a command that takes time waits for those before it, and those behind it wait', async () => {
      const { connect, service } = await open();
      const client = await connect();
      client.send(Buffer.concat([words('INCR a'), words('SCAN 0'), words('INCR a')]));
      await service.submitted(1);
      expect(service.seen).toEqual([['add a']]);
      service.complete();
      await service.submitted(2);
      service.complete();
      expect([await client.reply(), await client.reply(), await client.reply()]).toEqual([
        ':1\r\n',
        '*2\r\n$1\r\n0\r\n*0\r\n',
        ':2\r\n',
      ]);
    });

    it('a typed line with quotes is read a second time when it had to wait', async () => {
      const { connect, service } = await open();
      const client = await connect();
      client.send('INCR "a b"\r\nSCAN "0" MATCH "\\x61*" COUNT \'10\'\r\nINCR "a b"\r\n');
      await service.submitted(1);
      service.complete();
      await service.submitted(2);
      service.complete();
      expect([await client.reply(), await client.reply(), await client.reply()]).toEqual([
        ':1\r\n',
        '*2\r\n$1\r\n0\r\n*0\r\n',
        ':2\r\n',
      ]);
      expect(service.seen).toEqual([['add a b'], ['add a b']]);
    });

    it('HELLO changes the protocol of the replies behind it only', async () => {
      const { connect, service } = await open();
      service.isImmediate = true;
      const client = await connect();
      client.send(Buffer.concat([words('GET x'), words('HELLO 3'), words('GET x'), words('HELLO 2'), words('GET x')]));
      expect(await client.reply()).toBe('$-1\r\n');
      expect(await client.reply()).toMatch(/^%7\r\n/);
      expect(await client.reply()).toBe('_\r\n');
      expect(await client.reply()).toMatch(/^\*14\r\n/);
      expect(await client.reply()).toBe('$-1\r\n');
    });
  });

  describe('outcomes', () => {
    it.each(['outcome_unknown', 'timeout', 'internal'] as const)(
      '%s: closes without a reply for the chunk',
      async (code) => {
        const { connect, service } = await open();
        const client = await connect();
        client.send(words('INCR a'));
        await service.submitted(1);
        service.complete();
        client.send(Buffer.concat([words('PING'), words('INCR a'), words('INCR b'), words('PING')]));
        await service.submitted(2);
        service.fail(1, ERRORS[code]);
        expect(await client.rest()).toBe(':1\r\n');
      },
    );

    it('a chunk that is unknown as a whole closes too', async () => {
      const { connect, service } = await open();
      const client = await connect();
      client.send(words('INCR a'));
      await service.submitted(1);
      service.refuse(ERRORS.outcome_unknown);
      expect(await client.rest()).toBe('');
    });

    it('a refused chunk is answered, and the connection goes on', async () => {
      const { connect, service } = await open();
      const client = await connect();
      client.send(Buffer.concat(['INCR a', 'PING', 'MULTI', 'INCR a', 'GET a', 'EXEC', 'MGET a b'].map(words)));
      await service.submitted(1);
      service.refuse(ERRORS.unavailable);
      const refused = '-TRYAGAIN the journal cannot be written right now, nothing was changed\r\n';
      const replies = [];
      for (let i = 0; i < 7; i++) replies.push(await client.reply());
      expect(replies).toEqual([refused, '+PONG\r\n', '+OK\r\n', '+QUEUED\r\n', '+QUEUED\r\n', refused, refused]);
      client.send(words('INCR a'));
      await service.submitted(2);
      service.complete();
      expect(await client.reply()).toBe(':1\r\n');
    });

    it('a chunk that completes within submit is answered as any other', async () => {
      const { connect, service } = await open();
      service.isImmediate = true;
      const client = await connect();
      for (let i = 1; i <= 100; i++) expect(await client.call('INCR', 'a')).toBe(`:${i}\r\n`);
    });
  });
});
