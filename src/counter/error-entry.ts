/** What the error catalogue says of one error: see `errors.ts`. */
export interface CatalogueEntry {
  readonly id: number;
  readonly outcome: 'refused' | 'unknown';
  readonly httpStatus: number;
  /** RESP error text, as Redis words it where Redis has it; without a leading minus. */
  readonly resp: string;
  /** What happened and what to do, one sentence for people. */
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
