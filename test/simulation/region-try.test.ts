import { it } from 'vitest';
import { RegionWorld, type RegionWorldOptions } from './region-world.ts';

const from = Number(process.env.FROM ?? 1);
const to = Number(process.env.TO ?? 10);
const only = process.env.WORLD ?? '';
const worlds: Record<string, Omit<RegionWorldOptions, 'seed'>> = {
  calm: { faults: { weather: 0, partition: 0, pause: 0, stop: 0, kill: 0, crash: 0, copy: 0, jump: 0, rollBack: 0 } },
  durable: {},
  volatile: { durable: false },
  acks: { ack: 'store', faults: { loseDisk: 0.006 } },
  lost: { faults: { loseDisk: 0.006 } },
  evict: { memoryBytes: 4_000, names: 12, faults: {} },
  interval: { durability: 'interval' },
};
for (const [name, options] of Object.entries(worlds)) {
  if (only !== '' && !only.split(',').includes(name)) continue;
  it(`${name}`, { timeout: 3_000_000 }, async () => {
    const begun = Date.now();
    const errors: string[] = [];
    const counts: Record<string, number> = {};
    for (let seed = from; seed <= to; seed++) {
      const world = new RegionWorld({ ...options, seed });
      try {
        await world.live(400);
        await world.heal();
      } catch (error) {
        errors.push(
          String(
            error instanceof Error ? (error.message.startsWith('seed') ? error.message : error.stack) : error,
          ).slice(0, 1500),
        );
      }
      for (const [k, v] of Object.entries(world.counts)) counts[k] = (counts[k] ?? 0) + v;
    }
    console.log(name, `${errors.length} of ${to - from + 1}`, Date.now() - begun, 'ms', JSON.stringify(counts));
    console.log(errors.slice(0, 12).join('\n'));
  });
}
