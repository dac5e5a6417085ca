/** Thrown when the program has a bug. Never thrown for bad input, which has a code in the error catalogue. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** States an invariant. Stays on in production: a wrong count is worse than a stopped process. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(`broken invariant: ${invariant}`);
}

/** For the `default` of an exhaustive switch: a missing case does not compile. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
