/**
 * A counter that a caller in this process adds to again and again: its key, and the record that it was found at. The
 * record is taken at its word only as long as no record at all has left the table.
 */
import { Kind } from '../counter/key.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';
import type { Records } from './records.ts';

const encoder = new TextEncoder();

export class Handle {
  readonly name: string;
  #key: DataView | undefined;
  /** 0: not found yet. */
  #ref = 0;
  /** What `Records.removals` was when it was found. */
  #removals = -1;

  /** @param name well-formed; one that is too long has no record. */
  constructor(name: string) {
    this.name = name;
  }

  /** The record, or 0. */
  find(records: Records): number {
    if (this.#ref !== 0 && this.#removals === records.removals) return this.#ref;
    // Not before it is used: most handles never are.
    this.#key ??= viewOf(encoder.encode(this.name));
    const { table } = records;
    const length = this.#key.byteLength;
    if (length > NAME_BYTES_MAX) return 0;
    this.#ref = table.find(table.hash(Kind.counter, length, this.#key, 0), Kind.counter, length, this.#key, 0);
    this.#removals = records.removals;
    return this.#ref;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
