/** What a service determines about a command before it executes it. */
import { Op } from './chunk.ts';

/** Whether an operation changes nothing. */
export function isRead(op: Op): boolean {
  return op === Op.get || op === Op.deadline;
}

/** Which part executes a command. */
export const Route = {
  /** This replica alone: the counter is not shared. */
  local: 0,
  /** This replica, on its own slot of a shared counter: at once. */
  slot: 1,
  /** The authority that decides for all replicas. */
  decided: 2,
} as const;
export type Route = (typeof Route)[keyof typeof Route];
