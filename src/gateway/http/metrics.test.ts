import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { HeldService, TestDoor } from '../../../test/http/door.ts';
import type { ServiceInfo, StoreInfo } from '../../counter/service.ts';
import { NodeClock } from '../../host/node/clock.ts';
import { Secret } from '../auth/secret.ts';
import { METRICS } from './metrics.ts';

const INFO: ServiceInfo = {
  state: 'open',
  durability: 'always',
  counters: 10_000_000,
  sequence: 2n ** 60n + 3n,
  durableSequence: 2n ** 60n,
  groups: 11,
  syncs: 12,
  commands: 9_007_199_254_740_991,
  journalBytes: 14,
  tableBytesMax: 1e9,
  tableBytes: 15,
  idempotencyRecords: 16,
  idempotencyBytes: 17,
  failure: undefined,
};
const STORE: StoreInfo = {
  replica: '1d5a474ebf2a84b51f35b01625baa510',
  isDurable: true,
  isAnswering: true,
  asOfMs: 1_000_000,
  held: 21,
  heldBytes: 22,
  backlog: 23,
  calls: 24,
  slotsSent: 25,
  loads: 26,
  evicted: 27,
  damaged: 37,
  wentBack: 38,
  hits: 28,
  misses: 29,
};

class ToldService extends HeldService {
  told = INFO;
  override info(): ServiceInfo {
    return this.told;
  }
}

class StoppedClock extends NodeClock {
  override nowMs(): number {
    return 1_002_500;
  }
}

/**
 * A strict reader of the text format: series by name and labels; every family is introduced, once, before its series.
 */
function parse(text: string): Map<string, number> {
  const series = new Map<string, number>();
  const families = new Set<string>();
  let family = '';
  expect(text).toMatch(/\n$/);
  const lines = text.slice(0, -1).split('\n');
  for (const [at, line] of lines.entries()) {
    const [, name = '', kind = ''] = /^# TYPE ([a-z_]+) (counter|gauge)$/.exec(line) ?? [];
    if (name !== '') {
      expect(lines[at - 1]).toMatch(new RegExp(`^# HELP ${name} \\S.*\\.$`));
      expect(name.endsWith('_total')).toBe(kind === 'counter');
      expect(families.has(name)).toBe(false);
      families.add(name);
      family = name;
    } else if (line !== '' && !line.startsWith('# HELP ')) {
      const sample = /^([a-z_]+)(\{(?:[a-z]+="[^"\\\n]*",?)+\})? (\S+)$/.exec(line);
      expect(sample?.[1], line).toBe(family);
      const key = `${family}${sample?.[2] ?? ''}`;
      expect(series.has(key), key).toBe(false);
      expect(Number(sample?.[3]), line).not.toBeNaN();
      series.set(key, Number(sample?.[3]));
    }
  }
  return series;
}

let door: TestDoor;
afterEach(() => door.close());

const bearer = (secret: string): Record<string, string> => ({ authorization: `Bearer ${secret}` });

async function scrape(): Promise<Map<string, number>> {
  return parse(await door.text(200, 'GET', '/metrics'));
}

describe('a scrape', () => {
  it('tells what the service knows of itself', async () => {
    const service = new ToldService();
    door = await TestDoor.open({ service, otherConnections: () => ({ resp: 7 }) });
    const answer = await door.send('GET', '/metrics');
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers['cache-control']).toBe('no-cache');
    expect(Object.fromEntries(parse(answer.text))).toEqual({
      'tallyd_info{version="1.2.3",durability="always"}': 1,
      'tallyd_state{state="open"}': 1,
      'tallyd_state{state="failing"}': 0,
      'tallyd_state{state="closing"}': 0,
      'tallyd_state{state="closed"}': 0,
      tallyd_failing: 0,
      tallyd_counters: INFO.counters,
      tallyd_commands_total: INFO.commands,
      tallyd_groups_total: INFO.groups,
      tallyd_groups_not_durable: 3,
      tallyd_syncs_total: INFO.syncs,
      tallyd_journal_bytes: INFO.journalBytes,
      tallyd_table_bytes: INFO.tableBytes,
      tallyd_idempotency_records: INFO.idempotencyRecords,
      tallyd_idempotency_bytes: INFO.idempotencyBytes,
      'tallyd_connections{door="http"}': 1,
      'tallyd_connections{door="resp"}': 7,
      tallyd_event_loop_delay_seconds: expect.any(Number),
      tallyd_event_loop_active_seconds_total: expect.any(Number),
      process_cpu_seconds_total: expect.any(Number),
      process_resident_memory_bytes: expect.any(Number),
      process_start_time_seconds: expect.closeTo(Date.now() / 1000, -4),
    });
    service.told = { ...INFO, state: 'failing', failure: 'EIO' };
    const failing = await scrape();
    expect(failing.get('tallyd_failing')).toBe(1);
    expect(failing.get('tallyd_state{state="failing"}')).toBe(1);
    expect(failing.get('tallyd_state{state="open"}')).toBe(0);
  });

  it('tells how it stands with the store, and nothing of a replica that it was', async () => {
    const service = new ToldService();
    service.told = { ...INFO, store: STORE };
    door = await TestDoor.open({ service, clock: new StoppedClock() });
    const ofStore = async (): Promise<object> =>
      Object.fromEntries([...(await scrape())].filter(([name]) => name.startsWith('tallyd_store_')));
    const counts = {
      tallyd_store_held_counters: STORE.held,
      tallyd_store_held_bytes: STORE.heldBytes,
      tallyd_store_backlog_slots: STORE.backlog,
      tallyd_store_calls_total: STORE.calls,
      tallyd_store_slots_sent_total: STORE.slotsSent,
      tallyd_store_loads_total: STORE.loads,
      tallyd_store_evictions_total: STORE.evicted,
      tallyd_store_damaged_total: STORE.damaged,
      tallyd_store_went_back_total: STORE.wentBack,
      tallyd_store_hits_total: STORE.hits,
      tallyd_store_misses_total: STORE.misses,
    };
    expect(await ofStore()).toEqual({
      [`tallyd_store_info{replica="${STORE.replica}",durable="true"}`]: 1,
      tallyd_store_answering: 1,
      tallyd_store_staleness_seconds: 2.5,
      ...counts,
    });
    const replica = 'f'.repeat(32);
    service.told = { ...INFO, store: { ...STORE, replica, isDurable: false, isAnswering: false, asOfMs: 0 } };
    expect(await ofStore()).toEqual({
      [`tallyd_store_info{replica="${replica}",durable="false"}`]: 1,
      tallyd_store_answering: 0,
      ...counts,
    });
  });

  it('agrees with /v1/info of a server that counts', async () => {
    door = await TestDoor.open();
    for (const name of ['a', 'b', 'b']) await door.text(200, 'POST', `/v1/counters/${name}/increment`);
    const info = JSON.parse(await door.text(200, 'GET', '/v1/info')) as Record<string, number>;
    const series = await scrape();
    expect(info['counters']).toBe(2);
    expect(series.get('tallyd_counters')).toBe(info['counters']);
    expect(series.get('tallyd_commands_total')).toBe(info['commands']);
    expect(series.get('tallyd_journal_bytes')).toBe(info['journalBytes']);
  });

  it('needs the secret', async () => {
    door = await TestDoor.open({ secret: new Secret('open-sesame') });
    expect((await door.send('GET', '/metrics')).status).toBe(401);
    expect((await door.send('GET', '/metrics', undefined, bearer('wrong'))).status).toBe(401);
    expect((await door.send('GET', '/metrics', undefined, bearer('open-sesame'))).status).toBe(200);
  });

  it('is documented metric by metric', async () => {
    door = await TestDoor.open();
    const page = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `([a-z_]+)(?:\{[a-z, ]+\})?` \| (counter|gauge) \|/gm)];
    expect(rows.map(([, name]) => name)).toEqual(METRICS.map(({ name }) => name));
    for (const [, name, kind] of rows) expect(kind, name).toBe(name?.endsWith('_total') ? 'counter' : 'gauge');
  });
});
