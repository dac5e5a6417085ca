import { RegionWorld } from './region-world.ts';

const options = JSON.parse(process.argv[3] ?? '{}');
const steps = Number(process.argv[4] ?? 300);
const w = new RegionWorld({ seed: Number(process.argv[2]), ...options });
try {
  await w.live(steps);
  await w.heal();
  console.log('fine');
} catch (e) {
  console.log(e);
}
