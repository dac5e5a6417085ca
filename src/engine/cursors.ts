/**
 * The cursors of listings. A cursor is a position and a keyed check, so that a cursor of another process is refused.
 * The check is short, because clients keep cursors as numbers, so it can be guessed and does not make a position
 * trustworthy. For each page of the table the first block that a cursor has pointed at is remembered, and a position is
 * valid only if the walk from there meets it. So a read always begins where a block begins, even with a forged cursor.
 *
 * Invariants:
 * - The remembered place of a page is where a block begins; one always does there (slab.ts).
 * - No issued cursor points before it.
 */
import { CountingError } from '../counter/errors.ts';
import { assert } from '../std/assert.ts';
import { grown } from '../std/columns.ts';
import { NameHash } from './hash.ts';
import { PIECE_UNITS, type Slab } from './slab.ts';

const CHECK_RANGE = 65_536;
/** 16 KiB of the table, which bounds the steps of a walk; no block crosses the end of a piece of the slab. */
const PAGE_UNITS = 1024;
assert(PIECE_UNITS % PAGE_UNITS === 0, 'a page lies in one piece');

export class Cursors {
  readonly #slab: Slab;
  readonly #hash: NameHash;
  /** Per page: 1 + the unit of it where that block begins; 0: no cursor has pointed at it. */
  #known = new Uint16Array(16);

  /** @param hashKey 8 secret random bytes. */
  constructor(slab: Slab, hashKey: Uint8Array) {
    this.#slab = slab;
    this.#hash = new NameHash(hashKey);
  }

  /** The cursor of a position that a walk has reached. */
  give(position: number): string {
    const page = Math.floor(position / PAGE_UNITS);
    const known = 1 + (position % PAGE_UNITS);
    if (page >= this.#known.length) this.#known = grown(this.#known, new Uint16Array(page * 2));
    if (this.#known[page] === 0 || known < this.#known[page]) this.#known[page] = known;
    return String(position * CHECK_RANGE + this.#check(position));
  }

  /**
   * The position that a cursor points at, where a block begins. @throws CountingError invalid_cursor for one that was
   * never given
   */
  take(cursor: string): number {
    const number = /^[1-9][0-9]{0,15}$/.test(cursor) ? Number(cursor) : 0;
    const position = Math.floor(number / CHECK_RANGE);
    if (number % CHECK_RANGE !== this.#check(position) || !this.#isMet(position)) {
      throw new CountingError('invalid_cursor');
    }
    return position;
  }

  /** Whether the walk from the remembered block of its page meets a position. */
  #isMet(position: number): boolean {
    const page = Math.floor(position / PAGE_UNITS);
    const known = this.#known[page] ?? 0;
    if (known === 0 || position >= this.#slab.frontier) return false;
    let at = page * PAGE_UNITS + known - 1;
    while (at < position) at = this.#slab.behind(at);
    return at === position;
  }

  #check(position: number): number {
    const view = new DataView(Uint32Array.of(position).buffer);
    return this.#hash.of(0, view, 0, view.byteLength) & (CHECK_RANGE - 1);
  }
}
