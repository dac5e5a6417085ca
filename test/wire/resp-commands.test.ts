// The commands that Redis 7.0 does not have, or not so: by the door on a real engine. What it has is compared with it
// in resp-differential.test.ts.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PAGE_ENTRIES_MAX } from '../../src/counter/limits.ts';
import { RawClient, request } from './raw-client.ts';
import { RespDoor } from './resp-door.ts';

const MAX = '9223372036854775807';
const MIN = '-9223372036854775808';

let door: RespDoor;
let client: RawClient;

beforeAll(async () => {
  const policies = [{ match: 'stock:*', floor: 0n, ceiling: 100n }];
  door = await RespDoor.open({ policies });
});
afterAll(() => door.close());
beforeEach(async () => {
  client = await RawClient.connect(door.gateway.address);
  await client.call('DEL', 'a', 'b', 'c', 'stock:1');
});
afterEach(() => client.close());

/** The replies to these lines, in turn, with commas for line ends. */
async function told(...lines: string[]): Promise<string[]> {
  const replies: string[] = [];
  for (const line of lines) replies.push((await client.call(...line.split(' '))).replaceAll('\r\n', ',').slice(0, -1));
  return replies;
}

describe('INCREX', () => {
  it.each([
    ['INCREX a', '*2,:1,:1'],
    ['increx a byint 5', '*2,:5,:5'],
    ['INCREX a BYINT -5', '*2,:-5,:-5'],
    ['INCREX a BYINT 0', '*2,:0,:0'],
    ['INCREX a BYINT 5 UBOUND 5', '*2,:5,:5'],
    ['INCREX a BYINT 6 UBOUND 5', '*2,:0,:0'],
    ['INCREX a BYINT 6 UBOUND 5 SATURATE', '*2,:5,:5'],
    ['INCREX a SATURATE BYINT -6 LBOUND -5 UBOUND 9', '*2,:-5,:-5'],
    ['INCREX a BYINT -6 LBOUND -5', '*2,:0,:0'],
    ['INCREX a NX', '*2,:1,:1'],
    ['INCREX a XX', '*-1'],
    ['INCREX a XX NX', '-ERR syntax error'],
    ['INCREX a BYINT', '-ERR syntax error'],
    ['INCREX a BYINT 1 BYINT 2', '-ERR syntax error'],
    ['INCREX a LBOUND', '-ERR syntax error'],
    ['INCREX a FOO', '-ERR syntax error'],
    ['INCREX a EX 10 PX 10', '-ERR syntax error'],
    ['INCREX a EX 10 PERSIST', '-ERR syntax error'],
    ['INCREX a PERSIST ENX', '-ERR syntax error'],
    ['INCREX a ENX', '-ERR ENX flag requires an expiration'],
    ['INCREX a BYINT x', '-ERR value is not an integer or out of range'],
    ['INCREX a BYINT 1.5', '-ERR value is not an integer or out of range'],
    ['INCREX a LBOUND x', '-ERR value is not an integer or out of range'],
    ['INCREX a UBOUND 9223372036854775808', '-ERR value is not an integer or out of range'],
    ['INCREX a EX x', '-ERR value is not an integer or out of range'],
    ['INCREX a LBOUND 2 UBOUND 1', "-ERR LBOUND can't be greater than UBOUND"],
    ['INCREX a EX 0', "-ERR invalid expire time in 'increx' command"],
    ['INCREX a PXAT -1', "-ERR invalid expire time in 'increx' command"],
    [`INCREX a EX ${MAX}`, "-ERR invalid expire time in 'increx' command"],
    ['INCREX a BYFLOAT 1.5', '-ERR BYFLOAT is not supported: a counter is an integer'],
    ['INCREX', "-ERR wrong number of arguments for 'increx' command"],
  ])('%s => %s', async (line, reply) => {
    expect(await told(line)).toEqual([reply]);
  });

  it('tells the value that stays when the result would be out of bounds, and changes nothing', async () => {
    expect(
      await told(
        'SET a 7 PXAT 2000000000000',
        'INCREX a BYINT 4 UBOUND 10 EX 100',
        'PEXPIRETIME a',
        'INCREX b BYINT 4 UBOUND 3 EX 100',
        'EXISTS b',
        `INCREX a BYINT ${MAX}`,
        `INCREX a BYINT ${MAX} SATURATE`,
        'INCREX a SATURATE',
        `INCREX b BYINT ${MIN}`,
        'INCREX b BYINT -1',
      ),
    ).toEqual([
      '+OK',
      '*2,:7,:0',
      ':2000000000000',
      '*2,:0,:0',
      ':0',
      '*2,:7,:0',
      `*2,:${MAX},:9223372036854775800`,
      `*2,:${MAX},:0`,
      `*2,:${MIN},:${MIN}`,
      `*2,:${MIN},:0`,
    ]);
  });

  it('sets the expire time, with ENX only where there is none, and removes it with PERSIST', async () => {
    expect(
      await told(
        'INCREX a PXAT 2000000000000 ENX',
        'INCREX a PXAT 2100000000000 ENX',
        'PEXPIRETIME a',
        'INCREX a EXAT 2100000000',
        'PEXPIRETIME a',
        'INCREX a',
        'PEXPIRETIME a',
        'INCREX a PERSIST',
        'PEXPIRETIME a',
        'INCREX a PXAT 1',
        'EXISTS a',
        'INCREX a EX 100',
        'TTL a',
      ),
    ).toEqual([
      ...['*2,:1,:1', '*2,:2,:1', ':2000000000000', '*2,:3,:1', ':2100000000000', '*2,:4,:1', ':2100000000000'],
      ...['*2,:5,:1', ':-1', '*2,:6,:1', ':0', '*2,:1,:1', ':100'],
    ]);
  });

  it('obeys the bounds of the policy too', async () => {
    expect(
      await told('INCREX stock:1 BYINT 101', 'INCREX stock:1 BYINT 101 SATURATE', 'INCREX stock:1 UBOUND 500'),
    ).toEqual(['*2,:0,:0', '*2,:100,:100', '*2,:100,:0']);
  });

  it('is null in RESP3 where its condition does not hold', async () => {
    await client.call('HELLO', '3');
    expect(await told('INCREX a XX')).toEqual(['_']);
  });
});

describe('TALLY.ADD', () => {
  it('adds to many, and tells each outcome', async () => {
    expect(
      await told('TALLY.ADD a 1 b -2 a 10', 'TALLY.ADD stock:1 5 a 1 stock:1 -6 c 1', 'MGET a b c stock:1'),
    ).toEqual(['*3,:1,:-2,:11', '*4,:5,:12,-ERR the result would be below the floor,:1', '*4,$2,12,$2,-2,$1,1,$1,5']);
    expect(await client.call('TALLY.ADD', '', '1', 'a', '1')).toMatch(
      /^\*2\r\n-ERR invalid counter name.*\r\n:13\r\n$/,
    );
  });

  it('changes nothing when it is not well formed', async () => {
    expect(await told('TALLY.ADD a 1 b x', 'TALLY.ADD a', 'TALLY.ADD a 1 b', 'EXISTS a b')).toEqual([
      '-ERR value is not an integer or out of range',
      "-ERR wrong number of arguments for 'tally.add' command",
      "-ERR wrong number of arguments for 'tally.add' command",
      ':0',
    ]);
  });

  it('takes ten thousand', async () => {
    const pairs = Array.from({ length: 10_000 }, (_, i) => [`many:${i % 5000}`, '1']).flat();
    expect((await client.call('TALLY.ADD', ...pairs)).startsWith('*10000\r\n:1\r\n')).toBe(true);
    const names = Array.from({ length: 5000 }, (_, i) => `many:${i}`);
    expect(await client.call('MGET', ...names)).toBe(`*5000\r\n${'$1\r\n2\r\n'.repeat(5000)}`);
    expect(await client.call('DEL', ...names)).toBe(':5000\r\n');
  });
});

describe('policies', () => {
  it('refuse in words, and SET as well', async () => {
    expect(await told('DECR stock:1', 'INCRBY stock:1 100', 'INCR stock:1', 'SET stock:1 101', 'GET stock:1')).toEqual([
      '-ERR the result would be below the floor',
      ':100',
      '-ERR the result would be above the ceiling',
      '-ERR the result would be above the ceiling',
      '$3,100',
    ]);
  });
});

describe('SCAN and KEYS', () => {
  it('visit every counter once, in pages', async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `scan:${i}`);
    await client.call('TALLY.ADD', ...names.flatMap((name) => [name, '1']));
    const found: string[] = [];
    let cursor = '0';
    do {
      const reply = await client.call('SCAN', cursor, 'MATCH', 'scan:*', 'COUNT', '70', 'TYPE', 'string');
      const texts = reply.split('\r\n').filter((_, i) => i > 3 && i % 2 === 1);
      cursor = reply.split('\r\n')[2] ?? '';
      found.push(...texts);
    } while (cursor !== '0');
    expect(found.sort()).toEqual(names.sort());
    expect(await client.call('SCAN', '0', 'COUNT', '10000', 'TYPE', 'hash')).toMatch(/\r\n\*0\r\n$/);
    expect((await client.call('KEYS', 'scan:1?')).startsWith('*10\r\n')).toBe(true);
    await client.call('DEL', ...names);
  });

  it('KEYS is refused where it would be long', async () => {
    const names = Array.from({ length: PAGE_ENTRIES_MAX + 1 }, (_, i) => `keys:${i}`);
    for (let at = 0; at < names.length; at += 5000) {
      await client.call('TALLY.ADD', ...names.slice(at, at + 5000).flatMap((name) => [name, '1']));
    }
    expect(await told('KEYS *')).toEqual(['-ERR KEYS is refused with more than 10000 counters: use SCAN']);
    expect(await told('DBSIZE')).toEqual([`:${names.length}`]);
    for (let at = 0; at < names.length; at += 5000) await client.call('DEL', ...names.slice(at, at + 5000));
    expect(await told('DBSIZE')).toEqual([':0']);
  });
});

describe('what clients and tools ask', () => {
  it('INFO, whole or by section', async () => {
    await told('SET a 1');
    const info = await client.call('INFO');
    for (const line of [
      'redis_version:7.0.15',
      'loading:0',
      'role:master',
      'cluster_enabled:0',
      'db0:keys=1,expires=0,avg_ttl=0',
    ]) {
      expect(info).toContain(`\r\n${line}\r\n`);
    }
    expect(info).toMatch(/\r\nuptime_in_seconds:\d+\r\n/);
    expect(info).toMatch(/\r\nconnected_clients:\d+\r\n/);
    expect((await client.call('INFO', 'KEYSPACE')).split('\r\n')[1]).toBe('# Keyspace');
    await client.call('HELLO', '3');
    expect(await client.call('INFO', 'replication')).toBe(
      '=52\r\ntxt:# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n',
    );
  });

  it('another database is refused, and what was meant for it is counted in none', async () => {
    for (const [index, error] of [
      ['3', 'ERR DB index is out of range'],
      ['-1', 'ERR DB index is out of range'],
      ['x', 'ERR value is not an integer or out of range'],
      ['99999999999', 'ERR value is out of range, value must between -2147483648 and 2147483647'],
    ] as const) {
      const other = await RawClient.connect(door.gateway.address);
      other.send(Buffer.concat([request('INCR', 'a'), request('SELECT', index), request('INCR', 'b')]));
      expect(await other.rest()).toMatch(new RegExp(`^:\\d\r\n-${error}\r\n$`));
      other.close();
    }
    const other = await RawClient.connect(door.gateway.address);
    const lines = ['MULTI', 'INCR b', 'SELECT 1', 'INCR b', 'EXEC'];
    other.send(Buffer.concat(lines.map((line) => request(...line.split(' ')))));
    expect(await other.rest()).toBe('+OK\r\n+QUEUED\r\n-ERR DB index is out of range\r\n');
    other.close();
    expect(await told('MGET a b')).toEqual(['*2,$1,4,$-1']);
  });

  it('INFO has all that `redis-cli --stat` reads', async () => {
    await told('SET a 1');
    const info = await client.call('INFO');
    for (const field of [
      ...[
        'used_memory',
        'connected_clients',
        'blocked_clients',
        'total_commands_processed',
        'total_connections_received',
      ],
      ...['rdb_bgsave_in_progress', 'aof_rewrite_in_progress', 'loading'],
    ]) {
      expect(info).toMatch(new RegExp(`\r\n${field}:\\d+\r\n`));
    }
    client.send(Buffer.concat([request('BGSAVE'), request('INFO', 'persistence'), request('SAVE')]));
    expect(await client.reply()).toBe('+Background saving started\r\n');
    expect(await client.reply()).toContain('\r\nrdb_bgsave_in_progress:1\r\n');
    expect(await client.reply()).toBe('+OK\r\n');
    expect(await client.call('INFO', 'persistence')).toContain('\r\nrdb_bgsave_in_progress:0\r\n');
  });

  it('CONFIG GET by patterns', async () => {
    expect(await told('CONFIG GET append* databases', 'CONFIG GET DATABASES nosuch')).toEqual([
      '*6,$11,appendfsync,$2,no,$10,appendonly,$3,yes,$9,databases,$1,1',
      '*2,$9,databases,$1,1',
    ]);
  });

  it('CLIENT says what it was told', async () => {
    expect(
      await told(
        'CLIENT SETINFO LIB-NAME a-library',
        'CLIENT SETINFO lib-ver 1.2.3',
        'CLIENT SETINFO lib-foo 1',
        'CLIENT NO-TOUCH on',
        'CLIENT MAINT_NOTIFICATIONS ON',
      ),
    ).toEqual([
      '+OK',
      '+OK',
      "-ERR Unrecognized option 'lib-foo'",
      '+OK',
      "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.",
    ]);
    expect(await client.call('CLIENT', 'SETINFO', 'LIB-NAME', 'a b')).toBe(
      '-ERR lib-name cannot contain spaces, newlines or special characters.\r\n',
    );
    expect(await client.call('CLIENT', 'SETNAME', 'a b')).toMatch(/^-ERR Client names cannot contain spaces/);
    const tooLong = 'x'.repeat(256);
    expect(await client.call('CLIENT', 'SETNAME', tooLong)).toMatch(/^-ERR Client names cannot be longer than 255/);
    expect(await client.call('HELLO', '2', 'SETNAME', tooLong)).toMatch(/^-ERR Client names cannot be longer/);
    expect(await client.call('CLIENT', 'SETINFO', 'LIB-NAME', tooLong)).toMatch(/^-ERR lib-name cannot be longer/);
    expect(await client.call('CLIENT', 'SETINFO', 'LIB-VER', tooLong)).toMatch(/^-ERR lib-ver cannot be longer/);
    const info = await client.call('CLIENT', 'INFO');
    expect(info).toMatch(/\r\nid=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ name= age=\d+ /);
    expect(info).toContain(' lib-name=a-library lib-ver=1.2.3 resp=2\n');
  });

  it('COMMAND tells the table', async () => {
    const count = Number((await client.call('COMMAND', 'COUNT')).slice(1, -2));
    expect((await client.call('COMMAND')).startsWith(`*${count}\r\n*10\r\n$4\r\nincr\r\n:2\r\n`)).toBe(true);
    expect((await client.call('COMMAND', 'LIST')).startsWith(`*${count}\r\n$4\r\nincr\r\n`)).toBe(true);
    expect(await client.call('COMMAND', 'INFO', 'client|id', 'nosuch', 'GET')).toMatch(
      /^\*3\r\n\*10\r\n\$9\r\nclient\|id\r\n:2\r\n[^$]*.*\$-1\r\n\*10\r\n\$3\r\nget\r\n:2\r\n/s,
    );
    expect(await client.call('COMMAND', 'DOCS', 'incr', 'incr')).toBe(
      '*2\r\n$4\r\nincr\r\n*6\r\n$7\r\nsummary\r\n$9\r\nAdds one.\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n',
    );
    expect(await client.call('CONFIG', 'HELP')).toContain('+GET parameter [parameter ...]\r\n');
  });

  it('snapshots: SAVE, BGSAVE, LASTSAVE; and the time', async () => {
    expect(await told('SAVE', 'BGSAVE', 'BGSAVE SCHEDULE')).toEqual([
      '+OK',
      '+Background saving started',
      '+Background saving started',
    ]);
    const [saved, time] = await told('LASTSAVE', 'TIME');
    expect(Number(saved?.slice(1))).toBeGreaterThan(1_700_000_000);
    expect(time).toMatch(/^\*2,\$10,\d{10},\$\d,\d{1,6}$/);
  });

  it('a closed engine is an error in words', async () => {
    const other = await RespDoor.open();
    const connected = await RawClient.connect(other.gateway.address);
    await other.engine.close();
    const shut = '-ERR the server is shutting down\r\n';
    expect([await connected.call('INCR', 'a'), await connected.call('SAVE')]).toEqual([shut, shut]);
    connected.close();
    await other.close();
  });
});

describe('many', () => {
  it('a pipeline of 100 000 increments counts each once, in order', async () => {
    const frame = request('INCR', 'a');
    const count = 100_000;
    client.send(Buffer.alloc(frame.length * count, frame));
    for (let i = 1; i <= count; i++) {
      const reply = await client.reply();
      if (reply !== `:${i}\r\n`) throw new Error(`${i}: ${reply}`);
    }
  });

  it('forty clients on one counter get forty thousand different values', async () => {
    const clients = await Promise.all(Array.from({ length: 40 }, () => RawClient.connect(door.gateway.address)));
    const values = await Promise.all(
      clients.map(async (each) => {
        const own: string[] = [];
        for (let round = 0; round < 10; round++) {
          each.send(Buffer.concat(Array<Buffer>(100).fill(request('INCR', 'a'))));
          for (let i = 0; i < 100; i++) own.push(await each.reply());
        }
        return own;
      }),
    );
    for (const each of clients) each.close();
    expect(new Set(values.flat()).size).toBe(40_000);
    expect(await told('GET a')).toEqual(['$5,40000']);
  });
});
