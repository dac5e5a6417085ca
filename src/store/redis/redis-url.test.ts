import { describe, expect, it } from 'vitest';
import { StoreRefusal } from '../slot-store.ts';
import { parseRedisUrl } from './redis-url.ts';

const plain = { tls: undefined, masterName: undefined, database: 0, username: undefined, password: undefined };

describe('the URL of a Redis store', () => {
  it.each([
    ['redis://h', { ...plain, addresses: [{ host: 'h', port: 6379 }] }],
    ['redis://h/2', { ...plain, addresses: [{ host: 'h', port: 6379 }], database: 2 }],
    [
      'redis://[::1]:7,h:8/',
      {
        ...plain,
        addresses: [
          { host: '::1', port: 7 },
          { host: 'h', port: 8 },
        ],
      },
    ],
    ['rediss://u@h', { ...plain, tls: {}, username: 'u', addresses: [{ host: 'h', port: 6379 }] }],
    [
      'rediss://h,i?cacert=/etc/a%20b/ca.pem&cert=c.pem&key=k.pem',
      {
        ...plain,
        tls: { cacert: '/etc/a b/ca.pem', cert: 'c.pem', key: 'k.pem' },
        addresses: [
          { host: 'h', port: 6379 },
          { host: 'i', port: 6379 },
        ],
      },
    ],
    ['rediss://h/3?cacert=c', { ...plain, tls: { cacert: 'c' }, database: 3, addresses: [{ host: 'h', port: 6379 }] }],
    ['redis://:a%40%2F%3A:b@h', { ...plain, password: 'a@/::b', addresses: [{ host: 'h', port: 6379 }] }],
    [
      'redis+sentinel://h,i:1/m%20n',
      {
        ...plain,
        masterName: 'm n',
        addresses: [
          { host: 'h', port: 26379 },
          { host: 'i', port: 1 },
        ],
      },
    ],
    [
      'rediss+sentinel://u:p@h/m',
      {
        ...plain,
        tls: {},
        masterName: 'm',
        username: 'u',
        password: 'p',
        addresses: [{ host: 'h', port: 26379 }],
      },
    ],
  ])('%s is read', (url, expected) => {
    expect(parseRedisUrl(url)).toEqual(expected);
  });

  it.each([
    '',
    'h:6379',
    'http://h',
    'redis://',
    'redis://h:x',
    'redis://h:65536',
    'redis://h:123456',
    'redis://::1',
    'redis://h/x',
    'redis://a,b/1',
    'redis://h,',
    'redis+sentinel://h',
    'redis://u:%@h',
    'redis://a@b@h',
    'redis://h?cacert=c',
    'rediss://h?cert=c',
    'rediss://h?key=k',
    'rediss://h?cacert=',
    'rediss://h?ca=c',
  ])('%s is refused', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(StoreRefusal);
  });
});
