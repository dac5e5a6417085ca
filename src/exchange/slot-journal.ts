/**
 * What the exchange needs of the journal of its slots: a counting service that makes them durable, group by group. The
 * position of a group grows with each; the exchange compares positions, and uses them as the versions of its slots.
 */
import type { Kind } from '../counter/key.ts';
import type { CountingService } from '../counter/service.ts';
import type { DurableReader } from '../engine/durable-stream.ts';
import type { DurablePage } from '../engine/listing.ts';

export interface SlotJournal extends CountingService {
  /** The position found at the start; later groups are of this process. */
  readonly recoveredSequence: bigint;
  /** The ordinals of the slots read at the start; some may be gone since: `slotOrdinals` checks. */
  readonly recoveredOrdinals: ReadonlySet<number>;
  /** The newest durable group: it is durable with all before it. */
  readonly durableSequence: bigint;
  /** The ordinals of all slots. Scans every record. */
  slotOrdinals(): ReadonlySet<number>;
  /** Resolves when everything applied so far is durable, in every mode. @throws CountingError outcome_unknown */
  flush(): Promise<void>;
  /** A page of the durable records of one kind. @param cursor of the page before, 0 to begin */
  durablePage(kind: Kind, cursor: number, count: number): DurablePage;
  /** Adds a reader of what becomes durable. @returns leaves the stream */
  readDurable(reader: DurableReader): () => void;
  /** Resolves in a turn of the event loop with room for this many steps of work beside chunks. */
  turn(steps: number): Promise<void>;
}
