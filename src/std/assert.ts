/** Thrown when the program itself is wrong. Never for bad input: that has a code in the error catalogue. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** States an invariant. Stays on in production: a wrong count is worse than a stopped process. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(`broken invariant: ${invariant}`);
}

/** For the `default` of an exhaustive switch: the compiler refuses a case that was forgotten. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
