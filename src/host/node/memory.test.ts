import { describe, expect, it } from 'vitest';
import { isAddressSpaceLimited, memoryLimit } from './memory.ts';

const MIB = 2 ** 20;
const MACHINE = 8192 * MIB;
const USED = 80 * MIB;

function limitOf(files: Readonly<Record<string, string>>): { bytes: number; setBy: string } {
  const { bytes, setBy } = memoryLimit((path) => files[path], MACHINE, USED);
  return { bytes, setBy };
}

function limits(addressSpace: string, data: string): string {
  return [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    `Max data size             ${data.padEnd(20)} unlimited            bytes     `,
    `Max address space         ${addressSpace.padEnd(20)} unlimited            bytes     `,
  ].join('\n');
}

describe('the memory that a process may use', () => {
  it('is what the machine has, where nobody has set a limit', () => {
    const none = { bytes: MACHINE, setBy: 'the machine' };
    expect(limitOf({})).toEqual(none);
    expect(
      limitOf({
        '/proc/self/cgroup': '4:memory:/a\n0::/a\n',
        '/sys/fs/cgroup/memory.max': 'max\n',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
        '/proc/self/limits': limits('unlimited', 'unlimited'),
      }),
    ).toEqual(none);
  });

  it('is the least of a control group and all above it', () => {
    const files = {
      '/proc/self/cgroup': '0::/system.slice/tallyd.service\n',
      '/sys/fs/cgroup/system.slice/tallyd.service/memory.max': `${900 * MIB}\n`,
      '/sys/fs/cgroup/system.slice/memory.max': `${700 * MIB}\n`,
    };
    expect(limitOf(files)).toEqual({ bytes: 700 * MIB, setBy: 'the control group' });
  });

  it('is that of a control group of version 1, also in a container that sees only its root', () => {
    const files = {
      '/proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/docker/0123\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${512 * MIB}\n`,
    };
    expect(limitOf(files)).toEqual({ bytes: 512 * MIB, setBy: 'the control group' });
  });

  it('is what a limit of the process leaves of what it has reserved, and what it has in memory', () => {
    const status = `VmSize:\t ${1200 * 1024} kB\nVmData:\t ${300 * 1024} kB\n`;
    const files = (addressSpace: string, data: string): Record<string, string> => ({
      '/proc/self/limits': limits(addressSpace, data),
      '/proc/self/status': status,
    });
    expect(limitOf(files(`${2000 * MIB}`, 'unlimited'))).toEqual({ bytes: 880 * MIB, setBy: 'RLIMIT_AS' });
    expect(limitOf(files(`${2000 * MIB}`, `${500 * MIB}`))).toEqual({ bytes: 280 * MIB, setBy: 'RLIMIT_DATA' });
    expect(limitOf(files(`${1000 * MIB}`, 'unlimited')).bytes).toBe(USED);
  });

  it('says whether the address space is limited', () => {
    const limits = (text: string): boolean => isAddressSpaceLimited(() => `Max address space         ${text}`);
    expect([limits('unlimited            unlimited'), limits('2099200000           unlimited')]).toEqual([false, true]);
    expect(isAddressSpaceLimited(() => undefined)).toBe(false);
  });

  it('is read from this system', () => {
    const { bytes, usedBytes } = memoryLimit();
    expect(bytes).toBeGreaterThan(usedBytes);
  });
});
