import { expect, it } from 'vitest';
import { PolicyTable } from '../counter/policy.ts';
import type { ScanPage } from '../counter/service.ts';
import { noCut } from '../crdt/cut.ts';
import { scanShared } from './scan.ts';
import { SharedCounters } from './shared-counters.ts';
import { COUNTER_STEPS } from './turns.ts';

const PAGES = 250;
const entry = (name: string) => ({ name, value: 1n, deadlineMs: undefined, updatedAtSeconds: 1 });

/** An engine whose only counter comes after so many pages. */
class Engine {
  asked = 0;
  steps = 0;

  async turn(steps: number): Promise<void> {
    this.steps += steps;
  }

  async scan({ cursor }: { readonly cursor?: string | undefined }): Promise<ScanPage> {
    this.asked++;
    const page = Number(cursor ?? 0);
    if (page < PAGES) return { entries: [entry(`shared ${page}`)], cursor: String(page + 1) };
    return { entries: [entry('local:1')], cursor: undefined };
  }
}

async function pagesOf(policies: PolicyTable): Promise<{ pages: string[][]; asked: number }> {
  const engine = new Engine();
  const counters = new SharedCounters({ high: 1n, low: 2n } as never);
  const pages: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = await scanShared(engine, counters, { cursor, count: 10 }, policies);
    pages.push(page.entries.map(({ name }) => name));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return { pages, asked: engine.asked };
}

it('a listing with a store does not ask the engine where no counter is local', async () => {
  expect(await pagesOf(new PolicyTable([]))).toEqual({ pages: [[]], asked: 0 });
});

it('a listing with a store comes to the local counters within few pages', async () => {
  const { pages, asked } = await pagesOf(new PolicyTable([{ match: 'local:*', scope: 'local' }]));
  expect(pages).toEqual([[], [], ['local:1']]);
  expect(asked).toBe(PAGES + 1);
});

it('a page of shared counters takes its part of a turn, whatever is asked for', async () => {
  const engine = new Engine();
  const counters = new SharedCounters('ab'.repeat(16));
  for (let i = 0; i < 5_000; i++) {
    const counter = counters.take(`c:${i}`);
    counter.merge({ slots: new Map([['cd'.repeat(16), { version: 1n, net: 1n }]]), cut: noCut() });
    counter.warm();
  }
  const { entries } = await scanShared(engine, counters, { count: 1_000_000 }, new PolicyTable([]));
  expect([entries.length, engine.steps]).toEqual([2_000, 2_000 * COUNTER_STEPS]);
});
