import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { open, type Tally } from './embed.ts';

let root: string;
let tally: Tally;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-options-'));
  tally = await open({ dir: root });
});
afterEach(async () => {
  await tally.close();
  await rm(root, { recursive: true, force: true });
});

it('an option that does not exist is refused in a sentence with those that do, and nothing is counted', async () => {
  const wrong = (options: unknown): never => options as never;
  const refused = [
    [tally.increment('a', 1, wrong({ by: 5 })), /unknown option 'by'; there are floor/],
    [tally.increment('a', 1, wrong({ name: 'b' })), /unknown option 'name'/],
    [tally.increment('a', 1, wrong('key')), /options are an object with floor/],
    [tally.decrement('a', 1, wrong({ ttlMs: 5 })), /unknown option 'ttlMs'; .*ttlSeconds/],
    [tally.batch([wrong({ name: 'a', idempotencyKey: 'k' })]), /unknown option 'idempotencyKey'; .*, id$/],
    [tally.list(wrong('a*')).next(), /options are an object with match$/],
    [tally.list(wrong({ pattern: 'a*' })).next(), /unknown option 'pattern'; there are match$/],
  ] as const;
  for (const [call, sentence] of refused) {
    const error = await call.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(sentence);
  }
  await expect(tally.expire('a', wrong('5'))).rejects.toMatchObject({ code: 'invalid_deadline' });
  expect(await tally.exists('a')).toBe(false);
});

it('an update of a batch that has an id counts once, in whatever batch it comes', async () => {
  for (const more of [[], [{ name: 'b' }]]) await tally.batch([...more, { name: 'a', by: 3, id: 'event' }]);
  expect(await tally.getMany(['a', 'b'])).toEqual([3n, 1n]);
});
