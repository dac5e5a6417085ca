import { describe, expect, it } from 'vitest';
import { openLog } from './log.ts';

function opened(isTerminal: boolean, fails: () => boolean = () => false) {
  const written: string[] = [];
  const write = (bytes: Buffer): number => {
    if (fails()) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    // As a pipe may, it takes a part at a time.
    const part = bytes.subarray(0, 7);
    written.push(part.toString());
    return part.length;
  };
  const log = openLog({ level: 'info', isTerminal, hasColors: false, write });
  return { log, lines: () => written.join('').split('\n').slice(0, -1) };
}

describe('the log', () => {
  it('is JSON, one object a line', () => {
    const { log, lines } = opened(false);
    log.info({ counters: 3 }, 'recovered');
    log.debug('not this');
    expect(lines().map((line) => JSON.parse(line))).toEqual([
      { level: 30, time: expect.any(Number), counters: 3, msg: 'recovered' },
    ]);
  });

  it('is for people on a terminal', () => {
    const { log, lines } = opened(true);
    log.info({ counters: 3, directory: '/data', at: { host: 'a' } }, 'recovered');
    log.error({ err: new Error('EIO: i/o error, write') }, 'the journal cannot be written');
    expect(lines()).toEqual([
      expect.stringMatching(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}recovered counters=3 directory=\/data at=\{"host":"a"\}$/),
      expect.stringMatching(/ERROR the journal cannot be written: EIO: i\/o error, write$/),
    ]);
  });

  it('shows what clients have chosen, and cannot be steered by it', () => {
    const { log, lines } = opened(true);
    log.info({ counter: 'ä\n\u001b[2J\u009b1m\u202e' }, 'audit');
    expect(lines()).toEqual([expect.stringMatching(/audit counter=ä\\u000a\\u001b\[2J\\u009b1m\\u202e$/)]);
  });

  it('loses what cannot be written, and says so when it can be', () => {
    let isFull = false;
    const { log, lines } = opened(false, () => isFull);
    log.info('one');
    isFull = true;
    log.info('two');
    log.error('three');
    isFull = false;
    log.info('four');
    expect(lines().map((line) => JSON.parse(line))).toMatchObject([
      { msg: 'one' },
      { msg: 'four' },
      { lost: 2, msg: 'log lines could not be written and are lost' },
    ]);
  });
});
