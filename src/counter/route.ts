/** What a service asks of a command before it carries it out. */
import { Op } from './chunk.ts';

/** Whether an operation changes nothing. */
export function isRead(op: Op): boolean {
  return op === Op.get || op === Op.deadline;
}

/** Who carries a command out. */
export const Route = {
  /** This replica alone: the counter is not shared. */
  local: 0,
  /** This replica, on its own slot of a shared counter: at once. */
  slot: 1,
  /** Whoever decides for all replicas. */
  decided: 2,
} as const;
export type Route = (typeof Route)[keyof typeof Route];
