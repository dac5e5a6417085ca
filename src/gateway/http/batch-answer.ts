/** Renders the outcomes of a batch, in the order of its entries. */
import { type Chunk, Flag } from '../../counter/chunk.ts';
import { DONE, ERRORS } from '../../counter/errors.ts';
import { ENTRY_NAME_BYTES_MAX, type EntryRefusal } from './batch-body.ts';
import { standingFields } from './integers.ts';
import {
  COUNT_BYTES_MAX,
  type Fragment,
  fragment,
  JsonBytes,
  quotedBytesMax,
  writeCount,
  writeFragment,
  writeQuoted,
} from './json-writer.ts';
import type { PendingRequest } from './pending-requests.ts';
import type { Work } from './turns.ts';

const COMMA = fragment(',');
const NAME = fragment('{"name":');
const VALUE = fragment(',"value":');
/** Only this replica's part of the counter is known. */
const OWN = fragment(',"value":null,"own":');
const APPLIED = fragment(',"applied":');
const REPLAYED = fragment(',"replayed":true');
const CLOSE = fragment('}');
/** The approximate size of an outcome besides its name. */
const OUTCOME_BYTES = 48;

/** Cached by id: a batch can have the same error ten thousand times. */
const ERROR_TEXTS: Fragment[] = [];
for (const [code, { id, message }] of Object.entries(ERRORS)) {
  ERROR_TEXTS[id] = fragment(`,"error":${JSON.stringify({ code, detail: message }).slice(0, -1)}`);
}

/** `,"value":` and `,"ttl":`, each with a number. */
const STANDING_BYTES_MAX = 18 + 2 * COUNT_BYTES_MAX;

/** The maximum size of one outcome, with its leading comma. */
const OUTCOME_BYTES_MAX =
  [COMMA, NAME, OWN, APPLIED, REPLAYED, CLOSE, CLOSE].reduce((sum, { length }) => sum + length, 2 * COUNT_BYTES_MAX) +
  STANDING_BYTES_MAX +
  ERROR_TEXTS.reduce((longest, { length }) => Math.max(longest, length), 0) +
  quotedBytesMax(ENTRY_NAME_BYTES_MAX);

/** The maximum size of an outcome besides its name. */
const OUTCOME_BYTES_WITHOUT_NAME_MAX = OUTCOME_BYTES_MAX - quotedBytesMax(ENTRY_NAME_BYTES_MAX);

/** The maximum size of the answer to a batch. */
export function batchAnswerBytesMax({ count, nameLength }: Chunk, refusals: ReadonlyMap<number, EntryRefusal>): number {
  let bytes = refusals.size * OUTCOME_BYTES_MAX;
  for (let i = 0; i < count; i++) bytes += OUTCOME_BYTES_WITHOUT_NAME_MAX + quotedBytesMax(nameLength[i]);
  return bytes;
}

/** Bytes written per step. */
const STEP_BYTES = 512 * 1024;

/** How many buffers are kept, and their maximum size. */
const SPARE_MAX = 8;
const SPARE_BYTES_MAX = 1024 * 1024;

/** Reusable buffers for answers: new ones would burden the garbage collector. */
export class AnswerBuffers {
  readonly #spare: JsonBytes[] = [];

  take(): JsonBytes {
    return this.#spare.pop() ?? new JsonBytes();
  }

  /** Its content has been sent, or never will be. */
  giveBack(json: JsonBytes): void {
    json.length = 0;
    if (this.#spare.length < SPARE_MAX && json.bytes.length <= SPARE_BYTES_MAX) this.#spare.push(json);
  }
}

/**
 * Writes the answer, in steps.
 * @param entries the number of entries, including those refused before they reached the service.
 */
export function* writeBatchAnswer(
  pending: PendingRequest,
  entries: number,
  refusals: ReadonlyMap<number, EntryRefusal>,
  json: JsonBytes,
): Work<void> {
  const { chunk } = pending;
  // For a repeated import chunk the outcomes are not known, only that it was imported.
  const isBareReplay = chunk.replayed && chunk.key?.scope === 'import';
  const last = chunk.count - 1;
  const namesBytes = last < 0 ? 0 : chunk.nameStart[last] + chunk.nameLength[last];
  json.reserve(OUTCOME_BYTES_MAX + (isBareReplay ? 0 : entries * OUTCOME_BYTES + namesBytes));
  json.text('{"results":[');
  const outcomes = new Outcomes(pending, isBareReplay ? 0 : entries, refusals);
  while (!outcomes.write(json)) yield;
  json.text(`],"refused":${outcomes.refused},"replayed":${chunk.replayed}}`);
}

/** The outcomes of the entries, in their order. */
class Outcomes {
  refused = 0;
  readonly #pending: PendingRequest;
  readonly #entries: number;
  readonly #refusals: ReadonlyMap<number, EntryRefusal>;
  #next = 0;
  /** The next one of those that are in the chunk. */
  #nextInChunk = 0;

  constructor(pending: PendingRequest, entries: number, refusals: ReadonlyMap<number, EntryRefusal>) {
    this.#pending = pending;
    this.#entries = entries;
    this.#refusals = refusals;
  }

  /** Appends one step. @returns whether that was the last. A plain loop, because a generator would be slower. */
  write(json: JsonBytes): boolean {
    const pending = this.#pending;
    const refusals = this.#refusals;
    const entries = this.#entries;
    const { code } = pending.chunk;
    const end = json.length + STEP_BYTES;
    let i = this.#next;
    let next = this.#nextInChunk;
    for (; i < entries && json.length < end; i++) {
      json.reserve(OUTCOME_BYTES_MAX);
      if (i > 0) json.length = writeFragment(COMMA, json.view, json.length);
      const refusal = refusals.size === 0 ? undefined : refusals.get(i);
      if (refusal !== undefined) {
        json.text(refusalText(refusal));
        this.refused++;
      } else {
        if (code[next] !== DONE) this.refused++;
        writeOutcome(pending, next++, json);
      }
    }
    this.#next = i;
    this.#nextInChunk = next;
    return i === entries;
  }
}

/** Appends an outcome, for which there is room. */
function writeOutcome({ chunk, asStrings }: PendingRequest, i: number, json: JsonBytes): void {
  const { bytes, view } = json;
  let at = writeFragment(NAME, view, json.length);
  at = writeQuoted(chunk.names, chunk.nameStart[i], chunk.nameLength[i], bytes, at);
  if (chunk.code[i] === DONE) {
    at = writeFragment(chunk.hasFlag(i, Flag.partial) ? OWN : VALUE, view, at);
    at = writeCount(chunk.value, 2 * i, asStrings, bytes, at);
    at = writeFragment(APPLIED, view, at);
    at = writeCount(chunk.other, 2 * i, asStrings, bytes, at);
    if (chunk.hasFlag(i, Flag.replayed)) at = writeFragment(REPLAYED, view, at);
  } else {
    at = writeFragment(ERROR_TEXTS[chunk.code[i]], view, at);
    const standing = chunk.standing(i);
    if (standing !== undefined) at += bytes.write(standingFields(standing, asStrings), at, 'latin1');
    at = writeFragment(CLOSE, view, at);
  }
  json.length = writeFragment(CLOSE, view, at);
}

function refusalText({ name, code, detail }: EntryRefusal): string {
  return JSON.stringify({ name, error: { code, detail } });
}
