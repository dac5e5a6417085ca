/**
 * The creation times of forgotten keys, as a few spans: a key created within a span may have been used. Spans come only
 * from forgotten keys, never from a clock: a clock that was briefly wrong makes a separate span, far from all others.
 *
 * Invariant: `#spans` are in order and do not touch; every added time is in one of them. If there would be too many,
 * the two closest spans are merged.
 */
const SPANS_MAX = 16;

export interface Span {
  /** Unix ms, both included. */
  readonly from: number;
  readonly to: number;
}

export class Births {
  #spans: Span[] = [];

  get spans(): readonly Span[] {
    return this.#spans;
  }

  has(unixMs: number): boolean {
    return this.#spans.some(({ from, to }) => from <= unixMs && unixMs <= to);
  }

  add(from: number, to: number): void {
    if (this.#spans.some((span) => span.from <= from && to <= span.to)) return;
    const apart = this.#spans.filter((span) => span.to + 1 < from || to + 1 < span.from);
    const touched = this.#spans.filter((span) => !apart.includes(span));
    const whole = {
      from: Math.min(from, ...touched.map((span) => span.from)),
      to: Math.max(to, ...touched.map((span) => span.to)),
    };
    this.#spans = [...apart, whole].sort((a, b) => a.from - b.from);
    if (this.#spans.length > SPANS_MAX) this.#joinClosest();
  }

  addAll(other: Births): void {
    for (const { from, to } of other.#spans) this.add(from, to);
  }

  clear(): void {
    if (this.#spans.length > 0) this.#spans = [];
  }

  #joinClosest(): void {
    const spans = this.#spans;
    let closest = 1;
    for (let i = 2; i < spans.length; i++) {
      if (spans[i].from - spans[i - 1].to < spans[closest].from - spans[closest - 1].to) closest = i;
    }
    spans.splice(closest - 1, 2, { from: spans[closest - 1].from, to: spans[closest].to });
  }
}
