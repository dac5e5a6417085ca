import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from './backup.ts';
import { loadConfig } from './config.ts';
import { prepareDirectory } from './directory.ts';
import { verifyCommand } from './verify.ts';

let root: string;
let file: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-refusals-'));
  file = join(root, 'file');
  await writeFile(file, '');
});
afterAll(() => rm(root, { recursive: true, force: true }));

const MISSING = 'there is no such file or directory (ENOENT)';

describe('a path that cannot be used is refused with what to do, and without what the system calls it', () => {
  it.each<[string, () => Promise<unknown>, string, string]>([
    ['verify', () => verifyCommand(join(root, 'none'), false), MISSING, 'name a data directory'],
    ['verify of a file', () => verifyCommand(file, false), '(ENOTDIR)', 'name a data directory'],
    ['backup', () => backupCommand(join(root, 'none'), join(root, 'x'), false), MISSING, 'name a data directory'],
    ['backup of a file', () => backupCommand(file, join(root, 'x'), false), '(ENOTDIR)', 'name a data directory'],
    [
      'backup to nowhere',
      () => backupCommand(root, join(root, 'none', 'x'), false),
      MISSING,
      'make it, or name another',
    ],
    ['--data', () => prepareDirectory('/proc/none'), 'no directories can be made there', 'name another directory'],
    ['--secret-file', () => loadConfig({ 'secret-file': join(root, 'none') }, {}), MISSING, 'or set TALLYD_SECRET'],
    ['--config', () => loadConfig({ config: join(root, 'none') }, {}), MISSING, 'name another with --config'],
  ])('%s', async (_what, call, trouble, advice) => {
    const error = await call().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'StartError', message: expect.stringContaining(trouble) });
    expect((error as Error).message).toContain(advice);
    expect((error as Error).message).not.toMatch(/E[A-Z]+: |realpath|scandir|open '/);
  });
});

it('the secret itself on the command line is refused with where it belongs, and not repeated', async () => {
  const error = await loadConfig({ secret: 's3cret' }, {}).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ exitCode: 2, message: expect.stringMatching(/--secret-file, or set TALLYD_SECRET$/) });
  expect((error as Error).message).not.toContain('s3cret');
});
