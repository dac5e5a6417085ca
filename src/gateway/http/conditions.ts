/**
 * Conditional requests (RFC 9110, section 13). The entity tag of a counter is its count in quotes, `"absent"` where
 * there is none: the same tag, the same answer. So `If-Match` with the tag of a read is a compare-and-set on the count;
 * a counter that has changed and returned to its old count has its old tag.
 */
import type { FastifyRequest } from 'fastify';
import { type Condition, Flag, meets, Op } from '../../counter/chunk.ts';
import { CountingError, DONE } from '../../counter/errors.ts';
import { parseDecimal } from '../../counter/int64.ts';
import type { Answer } from './pending-requests.ts';
import { sendProblem } from './problems.ts';

const ABSENT = 'absent';
const TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;

/** The entity tag of a counter; weak if the answer also has a time, and so changes while the count stays. */
export function etagOf(exists: boolean, value: bigint, isWeak: boolean): string {
  return `${isWeak ? 'W/' : ''}"${exists ? value : ABSENT}"`;
}

/** Whether an `If-None-Match` has the tag, so that the answer is 304. */
export function hasTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header === '*' || header.split(',').some((tag) => opaque(tag.trim()) === opaque(etag));
}

/** The condition in an update's `If-Match` or `If-None-Match`. @throws CountingError invalid_request */
export function conditionOf({ headers }: FastifyRequest): Condition | undefined {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match !== undefined && noneMatch !== undefined) {
    throw new CountingError('invalid_request', 'an update has either an If-Match or an If-None-Match, not both');
  }
  if (match !== undefined) return match === '*' ? 'exists' : { is: 'one', of: countsOf(match, false) };
  if (noneMatch === undefined) return undefined;
  return noneMatch === '*' ? 'absent' : { is: 'none', of: countsOf(noneMatch, true) };
}

/** Wraps the answer to a single update: if its condition did not hold, that is the answer. */
export function conditional(onlyIf: Condition | undefined, answer: Answer): Answer {
  if (onlyIf === undefined) return answer;
  return (pending) => {
    const { chunk, reply, asStrings } = pending;
    const value = chunk.op[0] === Op.delete ? chunk.otherAt(0) : chunk.valueAt(0);
    const isApplied = chunk.hasFlag(0, Flag.changed) || meets(onlyIf, chunk.hasFlag(0, Flag.existed), value);
    if (chunk.code[0] !== DONE || isApplied) return answer(pending);
    if (reply === undefined) return;
    if (chunk.replayed) reply.header('idempotency-replayed', 'true');
    sendProblem(reply, 'precondition_failed', undefined, { standing: { value, ttlMs: undefined }, asStrings });
  };
}

/** A tag without what makes it weak. */
function opaque(tag: string): string {
  return tag.replace(/^W\//, '');
}

/** The counts that tags denote; tags of other servers denote none. `weak`: `W/` is ignored. */
function countsOf(header: string, weak: boolean): (bigint | undefined)[] {
  const counts: (bigint | undefined)[] = [];
  for (const text of header.split(',')) {
    const [whole, isWeak, tag = ''] = TAG.exec(text.trim()) ?? [];
    if (whole === undefined) throw new CountingError('invalid_request', `an entity tag is a text in quotes, or *`);
    const count = parseDecimal(tag);
    if ((isWeak === undefined || weak) && (count !== undefined || tag === ABSENT)) counts.push(count);
  }
  return counts;
}
