/**
 * Work on many shared counters, in pages that share the turns of the event loop with what the engine does: see
 * `engine/turns.ts`.
 */
import type { SlotJournal } from './slot-journal.ts';

/** What may be done in turns that have room for it. */
export type Turns = Pick<SlotJournal, 'turn'>;

/** To look at a shared counter, to merge a slot, or to make one ready for the store. */
export const COUNTER_STEPS = 8;
const PAGE_COUNTERS = 1_000;

/** Goes through all of these, a page in a turn. */
export async function inTurns<Item>(
  turns: Turns,
  items: readonly Item[],
  visit: (page: readonly Item[]) => void,
): Promise<void> {
  for (let from = 0; from < items.length; from += PAGE_COUNTERS) {
    const page = items.slice(from, from + PAGE_COUNTERS);
    await turns.turn(page.length * COUNTER_STEPS);
    visit(page);
  }
}
