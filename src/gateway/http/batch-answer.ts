/** Renders the outcomes of a batch, in the order of its entries. */
import { Flag } from '../../counter/chunk.ts';
import { DONE, ERRORS } from '../../counter/errors.ts';
import type { EntryRefusal } from './batch-body.ts';
import type { Exchange } from './exchanges.ts';
import { fragment, JsonWriter } from './json-writer.ts';

const OPEN = fragment('{"results":[');
const COMMA = fragment(',');
const NAME = fragment('{"name":');
const VALUE = fragment(',"value":');
const APPLIED = fragment(',"applied":');
const REPLAYED = fragment(',"replayed":true');
const CLOSE = fragment('}');
/** What an outcome takes besides its name, roughly. */
const OUTCOME_BYTES = 48;

/** By id: a batch can have ten thousand times the same error. */
const ERROR_TEXTS: Uint8Array[] = [];
for (const [code, { id, message }] of Object.entries(ERRORS)) {
  ERROR_TEXTS[id] = fragment(`,"error":${JSON.stringify({ code, detail: message })}`);
}

/** @param entries how many the batch had, those included that were refused before they reached the service. */
export function batchAnswer(exchange: Exchange, entries: number, refusals: ReadonlyMap<number, EntryRefusal>): Buffer {
  const { chunk } = exchange;
  // Of an import chunk that came before only that is known, not its outcomes.
  const isBareReplay = chunk.replayed && chunk.key?.scope === 'import';
  const last = chunk.count - 1;
  const namesBytes = last < 0 ? 0 : chunk.nameStart[last] + chunk.nameLength[last];
  const writer = new JsonWriter(64 + (isBareReplay ? 0 : entries * OUTCOME_BYTES + namesBytes));
  writer.fragment(OPEN);
  let refused = 0;
  let next = 0;
  for (let i = 0; i < entries && !isBareReplay; i++) {
    if (i > 0) writer.fragment(COMMA);
    const refusal = refusals.size === 0 ? undefined : refusals.get(i);
    if (refusal !== undefined) {
      writer.text(refusalText(refusal));
      refused++;
    } else {
      if (chunk.code[next] !== DONE) refused++;
      writeOutcome(writer, exchange, next++);
    }
  }
  writer.text(`],"refused":${refused},"replayed":${chunk.replayed}}`);
  return writer.finish();
}

function writeOutcome(writer: JsonWriter, exchange: Exchange, i: number): void {
  const { chunk, asStrings } = exchange;
  writer.fragment(NAME);
  writer.quoted(chunk.names, chunk.nameStart[i], chunk.nameLength[i]);
  if (chunk.code[i] === DONE) {
    writer.fragment(VALUE);
    writer.count(chunk.value, 2 * i, asStrings);
    writer.fragment(APPLIED);
    writer.count(chunk.other, 2 * i, asStrings);
    if (chunk.hasFlag(i, Flag.replayed)) writer.fragment(REPLAYED);
  } else {
    writer.fragment(ERROR_TEXTS[chunk.code[i]]);
  }
  writer.fragment(CLOSE);
}

function refusalText({ name, code, detail }: EntryRefusal): string {
  return JSON.stringify({ name, error: { code, detail } });
}
