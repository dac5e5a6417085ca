/** One entry of the error catalogue: see `errors.ts`. */
export interface CatalogueEntry {
  readonly id: number;
  readonly outcome: 'refused' | 'unknown';
  readonly httpStatus: number;
  /** RESP error text, in Redis's wording if Redis has this error; without the leading minus. */
  readonly resp: string;
  /** What happened and what to do, in one readable sentence. */
  readonly message: string;
}

export function entry(
  id: number,
  outcome: 'refused' | 'unknown',
  httpStatus: number,
  resp: string,
  message: string,
): CatalogueEntry {
  return { id, outcome, httpStatus, resp, message };
}
