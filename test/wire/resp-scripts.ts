// Requests that Tallyd and Redis answer with the same bytes, and those that they do not: data for the differential
// test.

import { ERRORS } from '../../src/counter/errors.ts';
import { request } from './raw-client.ts';

/** Requests as lines of words, or as bytes to be sent as they are. */
export type Script = readonly (string | Uint8Array)[];

export const SECRET = 'correct horse';
export const MAX = '9223372036854775807';
export const MIN = '-9223372036854775808';
/** A time in 2033, so that no test run comes close. */
const LATER = '2000000000';

/** A script from requests with semicolons between them. */
function script(text: string): string[] {
  return text.split(';').map((line) => line.trim());
}

/** Lines as people type them. */
function typed(...lines: string[]): Buffer[] {
  return lines.map((line) => Buffer.from(line, 'latin1'));
}

export const SAME: Readonly<Record<string, Script>> = {
  'INCR and its kin': script(
    `INCR a; INCR a; incr a; INCRBY a 40; DECR a; DECRBY a 1; GET a; INCRBY a -100; GET a; INCR; INCR a b; INCRBY a;
    INCRBY a 1 2; INCRBY a x; INCRBY a 1.5; INCRBY a 1e3; INCRBY a +1; INCRBY a 01; INCRBY a -0; INCRBY a ${MAX}0;
    INCRBY a 9223372036854775808; DECRBY a x; GET a`,
  ),
  'the whole range of 64 bits': script(
    `SET a ${MAX}; INCR a; GET a; INCRBY a 1; INCRBY a 0; DECR a; INCR a; DECRBY a ${MAX}; GET a; SET a ${MIN}; DECR a;
    DECRBY a 1; GET a; INCR a; DECRBY a ${MIN}; INCRBY a ${MIN}; GET a; SET a 0; INCRBY a ${MIN}; INCRBY a ${MAX}; INCR a;
    GET a; DECRBY b ${MIN}; GET b; SET a 9007199254740993; INCR a; GET a; INCRBY a -9007199254740994`,
  ),
  'GET, MGET, EXISTS, TYPE, TOUCH, DEL': script(
    `SET a 1; SET b -22; SET c 4294967296; MGET a b missing c a; GET missing; EXISTS a b missing a; TYPE a; TYPE missing;
    TOUCH a missing; DEL a missing a; EXISTS a; UNLINK b c; MGET a b c; GET; GET a b; MGET; EXISTS; DEL; UNLINK; TOUCH;
    TYPE; TYPE a b`,
  ),
  'SET and its options': script(
    `SET a 1; SET a 2 NX; SET a 3 XX; SET b 1 XX; SET b 1 NX; SET a 4 GET; SET new 4 GET; SET a 5 NX GET; SET newer 5 NX GET;
    SET c 5 XX GET; GET c; SET a 6 NX XX; SET a 6 XX NX; SET a 6 KEEPTTL EX 10; SET a 6 EX; SET a 6 EX 0; SET a 6 EX -1;
    SET a 6 EX x; SET a 6 PX 0; SET a 6 EXAT 0; SET a 6 PXAT -5; SET a 6 EX 10 PX 10; SET a 6 EX 10 KEEPTTL; SET a 6 FOO;
    SET a; SET; SET a 6 EX ${MAX}; SET a 6 PX ${MAX}; SET a 6 EX 1.5; SET a 7 EXAT ${LATER}; EXPIRETIME a; SET a 8 KEEPTTL;
    EXPIRETIME a; SET a 9; EXPIRETIME a; SET a 7 PXAT ${LATER}123; PEXPIRETIME a; SET a 1 nx; set a 1 xx get; PEXPIRETIME a;
    SET a 5 PXAT 1; GET a; SET a 1 PERSIST; SET a 1 EX 100 EX 200 XX; SET a 1 EX 100 EX 200; SET a 1 GET GET; SET a 1 NX NX`,
  ),
  'SETNX, SETEX, GETSET, GETDEL, GETEX': script(
    `SETNX a 1; SETNX a 2; GET a; SETNX a; SETEX a 100 5; SETEX a 0 5; SETEX a x 5; SETEX a 100; PSETEX a 0 5; PSETEX a -1 5;
    PSETEX a 100000 6; GET a; PERSIST a; PERSIST a; PERSIST missing; GETSET a 7; GETSET b 1; GETSET b; GETDEL a; GETDEL a;
    GETDEL; GETEX b; GETEX b EXAT ${LATER}; EXPIRETIME b; GETEX b; EXPIRETIME b; GETEX b PERSIST; EXPIRETIME b; GETEX b EX 0;
    GETEX b EX; GETEX b FOO; GETEX b EX 10 PERSIST; GETEX b KEEPTTL; GETEX b NX; GETEX missing EX 10; GETEX b PXAT 1; GET b;
    GETEX; GETEX b EX ${MAX}; GETEX b EX x`,
  ),
  deadlines: script(
    `TTL missing; PTTL missing; EXPIRETIME missing; PEXPIRETIME missing; EXPIRE missing 10; SET a 1; TTL a; PTTL a; EXPIRETIME a;
    PEXPIRETIME a; EXPIREAT a ${LATER}; EXPIRETIME a; PEXPIRETIME a; PEXPIREAT a ${LATER}499; EXPIRETIME a;
    PEXPIREAT a ${LATER}500; EXPIRETIME a; PEXPIRETIME a; INCR a; PEXPIRETIME a; PERSIST a; PEXPIRETIME a;
    EXPIREAT a ${LATER} XX; EXPIREAT a ${LATER} GT; EXPIRETIME a; EXPIREAT a ${LATER} LT; EXPIRETIME a; EXPIREAT a 2000000001 NX;
    EXPIREAT a 2000000001 LT; EXPIREAT a 2000000001 GT; EXPIREAT a ${LATER} GT; EXPIRETIME a; EXPIREAT a ${LATER} XX GT;
    EXPIREAT a ${LATER} LT; EXPIRETIME a; EXPIRE a x; EXPIRE a; EXPIRE a 10 FOO; EXPIRE a 10 NX XX; EXPIRE a 10 NX GT;
    EXPIRE a 10 NX LT; EXPIRE a 10 GT LT; EXPIRE a 10 XX GT LT; EXPIRE a ${MAX}; PEXPIRE a ${MAX}; EXPIRE a ${MIN};
    EXPIREAT a ${MAX}; EXPIRE a 1e3; EXPIREAT a 1 GT; GET a; EXPIREAT a 1; GET a; SET a 2; EXPIRE a -1; GET a; SET a 3;
    EXPIRE a 0; EXISTS a; SET a 4; PEXPIREAT a 0; EXISTS a; SET a 5; PEXPIREAT a -5; EXISTS a; TTL; TTL a b; PERSIST; SET a 6;
    EXPIREAT a 1 NX; EXISTS a; SET a 7; EXPIREAT a 1 XX; EXISTS a; EXPIREAT a 1 LT; EXISTS a; EXPIRE a 10 nx gt; EXPIRE a 10 gt x;
    SET a 8; EXPIREAT a ${LATER} XX LT; EXPIRETIME a; EXPIREAT a ${LATER}; EXPIREAT a ${LATER} LT XX; EXPIREAT a 2000000001 XX LT;
    EXPIREAT a 1999999999 xx lt; EXPIRETIME a; EXPIREAT a ${LATER} XX XX GT; EXPIRETIME a; EXPIREAT a 1 XX LT; EXISTS a;
    EXPIREAT a ${LATER} XX LT`,
  ),
  transactions: script(
    `EXEC; DISCARD; MULTI; EXEC; MULTI; INCR a; EXPIREAT a ${LATER}; GET a; EXEC; MULTI; INCR a; DISCARD; GET a; MULTI; MULTI;
    INCR a; EXEC; MULTI; INCR; INCR a; EXEC; MULTI; NOSUCH; EXEC; GET a; MULTI; INCRBY a x; INCR a; PING; MGET a missing; EXEC;
    MULTI x; EXEC; MULTI; EXEC x; EXEC; EXEC x; MULTI; DISCARD x; DISCARD; EXEC; SET a ${MAX}; MULTI; INCR a; DECR a; EXEC;
    MULTI; PING hello; ECHO x; SELECT 0; TYPE a; DEL a; EXEC; GET a; MULTI; SAVE; EXEC; MULTI; RESET; EXEC; PING;
    UNWATCH; UNWATCH x; MULTI; INCR a; WATCH a; UNWATCH; EXEC; MULTI; WATCH; EXEC; MULTI; WATCH a; DISCARD; WATCH; EXEC`,
  ),
  connection: script(
    `PING; ping; PING hello; PING a b; ECHO x; ECHO; ECHO a b; SELECT 0; SELECT;
    CLIENT; CLIENT GETNAME; CLIENT SETNAME me; CLIENT GETNAME; CLIENT SETNAME; CLIENT FOO; client foo bar; CLIENT GETNAME x;
    CLIENT ID x; AUTH x; AUTH default x; AUTH default; AUTH foo bar; AUTH a b c; AUTH; HELLO x; HELLO 1; HELLO 4;
    HELLO 99999999999999999999; HELLO 2 FOO; HELLO 2 AUTH default; HELLO 2 SETNAME; HELLO 3 AUTH nobody x; CLIENT NO-EVICT ON;
    CLIENT NO-EVICT maybe; CLIENT NO-EVICT; RESET; CLIENT GETNAME; RESET x; QUIT`,
  ),
  'what is unknown': [
    ...script(
      `NOSUCH; nosuch a; NoSuch a b c; NOSUCH ${'x'.repeat(200)} y; ${'X'.repeat(300)} y; NOSUCH${' y'.repeat(100)}`,
    ),
    request('NOSUCH', 'a\r\nb', 'c\0d'),
    request('NO\r\nSUCH', 'a'),
    request('NO\0SUCH', 'a'),
    request('NOSUCH', ''),
    request(''),
    request('', 'a'),
    request('NOSUCH', '\xff\xfe'),
    ...script(
      `CONFIG; CONFIG NOSUCH; CONFIG GET; CONFIG GET nosuch; CONFIG GET save; CLUSTER; CLUSTER SLOTS; CLUSTER INFO; CLUSTER SHARDS;
      CLUSTER MYID; CLUSTER NOSUCH; COMMAND NOSUCH; COMMAND INFO nosuch; COMMAND DOCS nosuch; DBSIZE x; TIME x; LASTSAVE x; SAVE x;
      BGSAVE x; KEYS; SCAN; SCAN x; SCAN 0 FOO; SCAN 0 COUNT; SCAN 0 COUNT 0; SCAN 0 COUNT x; SCAN 0 COUNT -5; SCAN 1x; INFO nosuch`,
    ),
  ],
  'lines as people type them': typed(
    'INCR a\r\n',
    'INCR a\n',
    '   INCR    a  \r\n',
    'GET "a"\r\n',
    "GET 'a'\r\n",
    'SET "b\\x41\\n\\"" 5\r\n',
    'GET "bA\\n\\""\r\n',
    "ECHO 'it\\'s'\r\n",
    'ECHO "a\\tb\\r\\n\\a\\b\\q"\r\n',
    'ECHO foo"bar baz"\r\n',
    "ECHO foo'bar'\r\n",
    'ECHO ""\r\n',
    'ECHO \tx\r\n',
    'ECHO "\\x4"\r\n',
    'ECHO "\\xZZ"\r\n',
    'ECHO a\vb\r\n',
    'NOSUCH x\r\n',
    'PING\r\r\n',
  ),
  'empty requests are passed over': typed('\r\n\r\n*0\r\n*-1\r\n*-10\r\n \r\nPING\r\n'),
};

/** What ends a connection. */
export const ENDINGS: Readonly<Record<string, string>> = {
  QUIT: 'QUIT\r\n',
  'QUIT with arguments': 'QUIT now\r\n',
  'QUIT in a pipeline': 'PING\r\nQUIT\r\nPING\r\n',
  'QUIT in a transaction': 'MULTI\r\nINCR q\r\nQUIT\r\n',
  'not a number of arguments': '*x\r\n',
  'a leading zero in the number of arguments': '*02\r\n',
  'no number of arguments': '*\r\n',
  'a sign in the number of arguments': '*+1\r\n',
  'too great a number of arguments': '*2147483648\r\n',
  'not a bulk string': '*1\r\n:1\r\n',
  'not a bulk string, second': '*2\r\n$4\r\nECHO\r\nhello\r\n',
  'not a length': '*1\r\n$x\r\n',
  'a negative length': '*1\r\n$-1\r\n',
  'a great length': '*1\r\n$536870913\r\n',
  'an error behind replies': 'PING\r\n*1\r\n$x\r\n',
  'unbalanced double quotes': 'ECHO "a\r\n',
  'unbalanced quotes': "ECHO 'a\r\n",
  'something behind the quotes': 'ECHO "a"b\r\n',
  'a line without an end': 'x'.repeat(70_000),
  'HTTP, by its first line': 'POST / HTTP/1.1\r\nHost: localhost\r\n\r\nINCR http\r\n',
  'HTTP, by a header': 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\nINCR http\r\n',
  'HTTP, as an array': '*2\r\n$4\r\nPOST\r\n$1\r\n/\r\nINCR http\r\n',
};

/** Sent where a secret is set. */
export const UNAUTHENTICATED: Script = [
  ...script(
    `PING; GET a; INCR a; INCR; NOSUCH; MULTI; EXEC; EXEC x; CLIENT SETNAME x; CLIENT NOSUCH; COMMAND; CONFIG GET save; INFO; SCAN 0;
    SELECT 0; HELLO; HELLO 3; HELLO 9; AUTH wrong; AUTH default wrong; AUTH nobody wrong; HELLO 3 AUTH default wrong`,
  ),
  request('HELLO', '3', 'AUTH', 'nobody', SECRET),
  'RESET',
  request('AUTH', 'nobody', SECRET),
  request('AUTH', SECRET),
  ...script('PING; INCR a; AUTH wrong; PING; MULTI; INCR a; RESET; INCR a'),
  request('AUTH', 'default', SECRET),
  ...script('INCR a; RESET; PING'),
];

export interface Difference {
  /** As docs/resp.md says it. */
  readonly what: string;
  readonly script: Script;
  /** What Tallyd answers to the script's last request. */
  readonly ours: string;
}

const INVALID_NAME = `-${ERRORS.invalid_name.resp}`;
const NOT_AN_INTEGER = `-${ERRORS.invalid_number.resp}`;

function differs(what: string, ours: string | ((line: string) => string), ...requests: Script): Difference[] {
  return requests.map((line) => {
    const lines = typeof line === 'string' ? script(line) : [line];
    return { what, script: lines, ours: typeof ours === 'string' ? ours : ours(String(lines.at(-1))) };
  });
}

export const DIFFERENCES: readonly Difference[] = [
  ...differs('a value is an integer', NOT_AN_INTEGER, 'SET a x', 'GETSET a 1.5', 'SETEX a 10 x', 'SETNX a 01'),
  ...differs(
    'a name is 1 to 255 bytes of UTF-8',
    INVALID_NAME,
    request('GET', ''),
    request('GET', 'x'.repeat(256)),
    request('INCR', '\xff'),
    request('MGET', 'a', ''),
  ),
  ...differs(
    'an expire time lies before 2^53 ms',
    "-ERR invalid expire time in 'pexpireat' command",
    'SET a 1; PEXPIREAT a 9007199254740992',
  ),
  ...differs(
    'an argument takes 64 KiB',
    '-ERR Protocol error: invalid bulk length',
    request('ECHO', 'x'.repeat(65_537)),
  ),
  ...differs(
    'a command takes 20 000 arguments',
    '-ERR Protocol error: invalid multibulk length',
    request('EXISTS', ...Array<string>(20_001).fill('a')),
  ),
  ...differs(
    'a command takes 10 000 names',
    '-ERR too many keys in one command, at most 10000',
    request('EXISTS', ...Array<string>(10_001).fill('a')),
  ),
  ...differs(
    'a cursor is valid only in the process that returned it',
    '-ERR invalid cursor',
    'SCAN 123456',
    request('SCAN', ''),
  ),
  ...differs(
    'SELECT of a database other than 0 closes the connection',
    '',
    'SELECT 3; PING',
    'SELECT x; PING',
    'MULTI; SELECT 1; EXEC',
  ),
  ...differs('WATCH', '-ERR WATCH is not supported', 'WATCH a'),
  ...differs('names of settings', '*2\r\n$4\r\nsave\r\n$0\r\n', 'CONFIG GET SAVE'),
  ...differs(
    'not between MULTI and EXEC',
    '-ERR Command not allowed inside a transaction',
    'MULTI; SCAN 0',
    'MULTI; KEYS *',
    'MULTI; COMMAND',
  ),
  ...differs(
    'unknown commands',
    unknownCommand,
    ...script(
      'APPEND a 1; STRLEN a; RENAME a b; OBJECT ENCODING a; MEMORY USAGE a; DEBUG SLEEP 0; SWAPDB 0 0; LPUSH l 1; MSET a 1',
    ),
  ),
  ...differs('unknown commands', "-ERR unknown subcommand 'LIST'. Try CLIENT HELP.", 'CLIENT LIST'),
  ...differs('unknown commands', "-ERR unknown subcommand 'REPLY'. Try CLIENT HELP.", 'CLIENT REPLY ON'),
];

function unknownCommand(line: string): string {
  const [name, ...args] = line.split(' ');
  return `-ERR unknown command '${name}', with args beginning with: ${args.map((arg) => `'${arg}' `).join('')}`;
}
