/**
 * The counts of this directory's incarnations, as records of the engine: one per name and incarnation. Only this file
 * knows how slots are stored in the engine.
 */
import { Chunk, type CommandOptions, Flag, Op } from '../counter/chunk.ts';
import { CountingError, DONE, errorCode } from '../counter/errors.ts';
import { readInt64 } from '../counter/int64.ts';
import { Kind } from '../counter/key.ts';
import { CHUNK_COMMANDS_MAX } from '../counter/limits.ts';
import type { CountingService } from '../counter/service.ts';
import { ValueEntry, type Values } from '../journal/entries/value.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { ALONE } from './identity.ts';

/** The id under which this replica counts, and the ordinal of its slots in the engine. */
export interface Own {
  readonly replica: ReplicaId;
  readonly ordinal: number;
}

export interface LocalSlot {
  readonly name: string;
  readonly ordinal: number;
  readonly net: bigint;
}

/**
 * The nets of one incarnation for these names, undefined if it has none; waits for nets that are not durable yet.
 * @throws CountingError
 */
export async function readNets(
  engine: CountingService,
  names: readonly string[],
  ordinal: number,
): Promise<(bigint | undefined)[]> {
  const nets: (bigint | undefined)[] = [];
  await inChunks(
    engine,
    Op.get,
    names.map((name) => ({ name, ordinal, net: 0n })),
    (chunk, i) => {
      nets.push(chunk.hasFlag(i, Flag.existed) ? chunk.valueAt(i) : undefined);
    },
  );
  return nets;
}

/**
 * Restores nets that the store has and this directory no longer has, unless it has them by now. @throws CountingError
 */
export function restoreNets(engine: CountingService, slots: readonly LocalSlot[]): Promise<void> {
  return inChunks(engine, Op.set, slots, () => undefined, { onlyIf: 'absent' });
}

/** Sends one incarnation's current slots of these names through the durable stream again. @throws CountingError */
export async function stateAgain(engine: CountingService, names: readonly string[], ordinal: number): Promise<void> {
  const nets = await readNets(engine, names, ordinal);
  const known = names.filter((_, i) => nets[i] !== undefined);
  await inChunks(
    engine,
    Op.add,
    known.map((name) => ({ name, ordinal, net: 0n })),
    () => undefined,
  );
}

/** Removes records that the store keeps. @throws CountingError */
export function dropSlots(engine: CountingService, slots: readonly LocalSlot[]): Promise<void> {
  return inChunks(engine, Op.delete, slots, () => undefined);
}

/** A slot that has become durable: the place of its name, its incarnation, and its net. */
export type SlotVisitor = (names: Buffer, start: number, end: number, ordinal: number, net: bigint) => void;

/** Calls back for each slot among these states of records. */
export function slotsAmong({ words, view, at, count }: Values, visit: SlotVisitor): void {
  const names = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
  for (const entry of at.subarray(0, count)) {
    const kindAndLength = words[entry + ValueEntry.kindAndLength] as number;
    if ((kindAndLength & 0xff) !== Kind.slot) continue;
    const start = (entry + ValueEntry.key) * 4;
    const end = start + ((kindAndLength >>> 8) & 0xff);
    visit(names, start, end, view.getUint32(end, true), readInt64(words, entry + ValueEntry.low));
  }
}

async function inChunks(
  engine: CountingService,
  op: Op,
  slots: readonly LocalSlot[],
  visit: (chunk: Chunk, i: number) => void,
  options?: CommandOptions,
): Promise<void> {
  for (let from = 0; from < slots.length; from += CHUNK_COMMANDS_MAX) {
    const part = slots.slice(from, from + CHUNK_COMMANDS_MAX);
    const chunk = new Chunk(part.length);
    for (const { name, ordinal, net } of part) {
      if (ordinal === ALONE) chunk.pushName(op, name, net);
      else chunk.pushSlot(op, name, ordinal, net);
      if (options !== undefined) chunk.options[chunk.count - 1] = options;
    }
    await new Promise<void>((resolve) => {
      chunk.complete = resolve;
      engine.submit(chunk);
    });
    for (let i = 0; i < chunk.count; i++) {
      const code = chunk.refusal === DONE ? (chunk.code[i] as number) : chunk.refusal;
      if (code !== DONE) throw new CountingError(errorCode(code));
      visit(chunk, i);
    }
  }
}
