/** A set of records: a bit for each number, in pages that are created on demand. It can add millions within a turn. */
const PAGE_LOG2 = 16;
const PAGE_MASK = (1 << PAGE_LOG2) - 1;

export class RefSet {
  readonly #pages: (Uint32Array | undefined)[] = [];

  add(ref: number): void {
    const number = ref >>> PAGE_LOG2;
    while (this.#pages.length <= number) this.#pages.push(undefined);
    let page = this.#pages[number];
    if (page === undefined) {
      page = new Uint32Array((PAGE_MASK + 1) >>> 5);
      this.#pages[number] = page;
    }
    page[(ref & PAGE_MASK) >>> 5] |= 1 << (ref & 31);
  }

  has(ref: number): boolean {
    const word = this.#pages[ref >>> PAGE_LOG2]?.[(ref & PAGE_MASK) >>> 5] ?? 0;
    return ((word >>> (ref & 31)) & 1) !== 0;
  }

  clear(): void {
    this.#pages.length = 0;
  }

  /** In order, a page in one piece. */
  *pages(): Generator<number[]> {
    for (const [number, page] of this.#pages.entries()) {
      if (page !== undefined) yield refsOf(page, number << PAGE_LOG2);
    }
  }
}

function refsOf(page: Uint32Array, first: number): number[] {
  const refs: number[] = [];
  for (const [i, word] of page.entries()) {
    for (let left = word; left !== 0; left &= left - 1) refs.push(first + i * 32 + 31 - Math.clz32(left & -left));
  }
  return refs;
}
