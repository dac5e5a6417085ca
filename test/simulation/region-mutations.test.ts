/**
 * Whoever breaks one of the rules that the algebra rests on must be found: each of these does, in the real code, and
 * the oracle has so many seeds to notice. The rules that lie in `crdt/` are replaced there, for stores and nodes alike.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Op } from '../../src/counter/chunk.ts';
import { writeInt64 } from '../../src/counter/int64.ts';
import { Kind } from '../../src/counter/key.ts';
import type { Cut } from '../../src/crdt/cut.ts';
import type { Slot, Slots } from '../../src/crdt/slot.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { Identity } from '../../src/exchange/identity.ts';
import { Membership } from '../../src/exchange/membership.ts';
import { Region } from '../../src/exchange/region.ts';
import { SharedCounter } from '../../src/exchange/shared-counter.ts';
import { seeds } from '../seed.ts';
import { seedsUntilComplaint } from './oracle.ts';
import { RegionWorld } from './region-world.ts';
import type { RegionWorldOptions } from './world.ts';

const SEEDS = 40;
const STEPS = 300;

const broken = vi.hoisted(() => ({ rule: '' }));

vi.mock(import('../../src/crdt/slot.ts'), async (importOriginal) => {
  const real = await importOriginal();
  const newerSlot = (a: Slot, b: Slot): Slot => {
    if (broken.rule === 'add' && b.version > 0n) {
      return {
        version: real.newerSlot(a, { ...b, net: b.version === a.version ? a.net : b.net }).version,
        net: a.net + b.net,
      };
    }
    if (broken.rule === 'last' && b.version > 0n) return { ...b };
    return real.newerSlot(a, b);
  };
  const mergeSlots = <Replica>(a: Slots<Replica>, b: Slots<Replica>): Slots<Replica> => {
    const merged = new Map(a);
    for (const [replica, slot] of b) merged.set(replica, newerSlot(merged.get(replica) ?? real.NO_SLOT, slot));
    return merged;
  };
  return { ...real, newerSlot, mergeSlots };
});

vi.mock(import('../../src/crdt/cut.ts'), async (importOriginal) => {
  const real = await importOriginal();
  const fold = <Replica>(slots: Slots<Replica>, cut: Cut<Replica>, author: string): Cut<Replica> => {
    const folded = real.fold(slots, cut, author);
    return broken.rule === 'fold' ? { ...folded, folded: cut.folded } : folded;
  };
  return { ...real, fold };
});

afterEach(() => {
  broken.rule = '';
  vi.restoreAllMocks();
});

/** How many seeds it takes until the oracle complains. */
function seedsUntilFound(options: Omit<RegionWorldOptions, 'seed'> = {}): Promise<number> {
  return seedsUntilComplaint(seeds(SEEDS), async (seed) => {
    const world = new RegionWorld({ ...options, seed });
    await world.live(STEPS);
    await world.heal();
  });
}

describe('the oracle notices', () => {
  it('a merge that adds', async () => {
    broken.rule = 'add';
    expect(await seedsUntilFound()).toBeLessThanOrEqual(SEEDS);
  });

  it('a merge that keeps what came last', async () => {
    broken.rule = 'last';
    expect(await seedsUntilFound()).toBeLessThanOrEqual(SEEDS);
  });

  it.each([true, false])('a fold that forgets whom it has folded, durable: %s', async (durable) => {
    broken.rule = 'fold';
    expect(await seedsUntilFound({ durable })).toBeLessThanOrEqual(SEEDS);
  });

  it('a replica id that is used again after a crash', async () => {
    const opened = async (identity: Identity): Promise<void> => {
      const last = identity.document.incarnations.at(-1);
      if (last !== undefined) await identity.change({ baton: 'again' });
    };
    vi.spyOn(Membership.prototype, 'redeem').mockResolvedValue(1n);
    vi.spyOn(Membership.prototype, 'renew').mockResolvedValue('held');
    vi.spyOn(Membership.prototype, 'isFresh', 'get').mockReturnValue(true);
    expect(await seedsUntilFound({ opened })).toBeLessThanOrEqual(SEEDS);
  });

  it('slots that leave before the journal has them', async () => {
    const regions = new Map<unknown, Region>();
    const start = Region.prototype.start;
    vi.spyOn(Region.prototype, 'start').mockImplementation(function (this: Region) {
      regions.set(this.context.engine, this);
      start.call(this);
    });
    const submit = Engine.prototype.submit;
    vi.spyOn(Engine.prototype, 'submit').mockImplementation(function (this: Engine, chunk) {
      const version = this.info().sequence + 1n;
      submit.call(this, chunk);
      for (let i = 0; i < chunk.count && chunk.kind === Kind.slot; i++) {
        if (chunk.op[i] !== Op.add) continue;
        const [from, length] = [chunk.nameStart[i] as number, chunk.nameLength[i] as number];
        const name = new TextDecoder().decode(chunk.names.subarray(from, from + length));
        const ordinal = chunk.namesView.getUint32(from + length, true);
        const region = regions.get(this);
        region?.tookSlot(region.counters.find(name), name, ordinal, { version, net: chunk.valueAt(i) });
      }
    });
    expect(await seedsUntilFound()).toBeLessThanOrEqual(SEEDS);
  });

  it("a sum of the others' slots, which a push that comes twice adds to twice", async () => {
    const mergeSlot = SharedCounter.prototype.mergeSlot;
    const doubled = new WeakMap<SharedCounter, bigint>();
    const value = Object.getOwnPropertyDescriptor(SharedCounter.prototype, 'value')?.get as () => bigint;
    vi.spyOn(SharedCounter.prototype, 'mergeSlot').mockImplementation(function (this: SharedCounter, replica, slot) {
      const isNew = mergeSlot.call(this, replica, slot);
      if (!isNew) doubled.set(this, (doubled.get(this) ?? 0n) + slot.net);
      return isNew;
    });
    vi.spyOn(SharedCounter.prototype, 'value', 'get').mockImplementation(function (this: SharedCounter) {
      return value.call(this) + (doubled.get(this) ?? 0n);
    });
    vi.spyOn(SharedCounter.prototype, 'writeValue').mockImplementation(function (this: SharedCounter, lanes, at) {
      writeInt64(lanes, at, this.value);
      return true;
    });
    expect(await seedsUntilFound()).toBeLessThanOrEqual(SEEDS);
  });
});
