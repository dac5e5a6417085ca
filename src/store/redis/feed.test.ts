import { describe, expect, it } from 'vitest';
import type { Call } from './call.ts';
import { cursorOf, Feed } from './feed.ts';
import { Layout } from './layout.ts';
import { Lineage } from './lineage.ts';
import { CHANGES, OPEN, RENAME } from './scripts.ts';

/** One master with one bucket, at a version; it can be another master by the time that the bucket is read. */
function serverAt(first: number) {
  const server = { version: first, history: 'a', failsOverInPoll: false };
  const call: Call = {
    send: async (_, [verb, script, , , , since]) => {
      if (server.failsOverInPoll) Object.assign(server, { history: 'b', failsOverInPoll: false });
      const position = `e:${server.version}`;
      if (verb === 'HGET' || script === OPEN.digest) return position;
      if (script === RENAME.digest) return 1;
      expect(script).toBe(CHANGES.digest);
      return position === since ? null : [position, `${server.version}`, ['name'], [`${'f'.repeat(32)} 1 1;`, null]];
    },
    sendToMasters: async () => [`role:master\r\nmaster_replid:${server.history}\r\nmaxmemory_policy:noeviction\r\n`],
  };
  const feed = new Feed(new Layout('tallyd', 1), new Lineage());
  const changes = async (cursor: string | undefined) => {
    const told = await feed.follow(call, cursor);
    if (told !== undefined) return told;
    const now = await feed.begin(call);
    return { slots: [], resync: true, cursor: cursorOf(now), term: now.term };
  };
  return { server, changes };
}

describe('the feed', () => {
  it('tells of a failover in the middle of a poll in the next one, though the bucket has moved on', async () => {
    const { server, changes } = serverAt(5);
    const begun = await changes(undefined);
    server.version = 7;
    server.failsOverInPoll = true;
    const during = await changes(begun.cursor);
    expect([during.resync, during.term, during.slots.length]).toEqual([false, begun.term, 1]);
    const after = await changes(during.cursor);
    expect([after.resync, after.term === begun.term]).toEqual([true, false]);
    expect(await changes(after.cursor)).toMatchObject({ resync: false, term: after.term });
  });

  it('finds a bucket that moves again and again, rests, and moves', async () => {
    const { server, changes } = serverAt(1);
    let { cursor } = await changes(undefined);
    for (const version of [1, 2, 3, 3, 3, 4, 4, 5]) {
      const isNew = version !== server.version;
      server.version = version;
      const { slots, resync, cursor: next } = await changes(cursor);
      expect([version, slots.length, resync]).toEqual([version, isNew ? 1 : 0, false]);
      cursor = next;
    }
    server.version = 2;
    expect((await changes(cursor)).resync).toBe(true);
  });
});
