/** What a service determines about a command before it executes it. */
import { Op } from './chunk.ts';

const READS: { readonly [K in Op]: boolean } = {
  [Op.get]: true,
  [Op.deadline]: true,
  [Op.add]: false,
  [Op.set]: false,
  [Op.delete]: false,
  [Op.expire]: false,
};

/** Whether an operation changes nothing. */
export function isRead(op: Op): boolean {
  return READS[op];
}

/** Which part executes a command. */
export const Route = {
  /** This replica alone: the counter is not shared. */
  local: 0,
  /** This replica, on its own slot of a shared counter: at once. */
  slot: 1,
  /** The store, for all replicas: set and delete by compare-and-set. What it cannot decide is refused. */
  decided: 2,
} as const;
export type Route = (typeof Route)[keyof typeof Route];
