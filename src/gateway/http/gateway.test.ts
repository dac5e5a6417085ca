import dns from 'node:dns';
import { once } from 'node:events';
import { connect, isIP } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { HeldService } from '../../../test/http/door.ts';
import { NodeClock } from '../../host/node/clock.ts';
import { HttpGateway } from './gateway.ts';

afterEach(() => vi.restoreAllMocks());

it('listens once on localhost, whatever addresses that has: a second server would have no bounds', async () => {
  const both = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ];
  type Done = (error: null, found: unknown, family?: number) => void;
  const lookup = (name: string, { all }: { all?: boolean }, done: Done): void => {
    const found = isIP(name) === 0 ? both : [{ address: name, family: isIP(name) }];
    if (all === true) done(null, found);
    else done(null, found[0]?.address, found[0]?.family);
  };
  vi.spyOn(dns, 'lookup').mockImplementation(lookup as typeof dns.lookup);
  const log = { info() {}, warn() {}, error() {} };
  const options = { service: new HeldService(), clock: new NodeClock(), log, version: '1.2.3' };
  const gateway = await HttpGateway.open({ ...options, host: 'localhost', port: 0 });
  try {
    const { host, port } = gateway.address;
    expect(host).toBe('127.0.0.1');
    const socket = connect({ host: '::1', port });
    await expect(once(socket, 'connect')).rejects.toThrow(/ECONNREFUSED|EADDRNOTAVAIL/);
  } finally {
    await gateway.close(0);
  }
});
