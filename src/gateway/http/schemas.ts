/**
 * What the routes take and answer, as JSON Schema: requests are checked against it and OpenAPI is made of it.
 * Nothing is coerced, and a field that is not named here is refused.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { BATCH_ENTRIES_MAX, PAGE_ENTRIES_MAX } from '../../counter/limits.ts';

const CLOSED = { additionalProperties: false } as const;
/** A body of that name, and what the documentation fills in. */
function body(title: string, example: object) {
  return { ...CLOSED, title, examples: [example] };
}

const DECIMAL = '^(0|-?[1-9][0-9]{0,18})$';

/** An integer as a caller writes it: a literal, or a decimal string. */
export type IntegerText = number | string;

function integer(description: string) {
  return Type.Unsafe<IntegerText>({ type: ['integer', 'string'], pattern: DECIMAL, description });
}

/** A count in an answer. */
function count(description: string) {
  return Type.Unsafe<IntegerText>({
    type: ['integer', 'string'],
    description: `${description} A signed 64-bit integer; a string with \`numbers=string\`.`,
    examples: [42],
  });
}

const NAME = 'The counter, 1 to 255 bytes of UTF-8.';
const name = Type.String({ description: NAME, examples: ['example:42'] });
const ttl = integer('Seconds, counted from this update, after which the counter expires. A positive whole number.');
const bounds = {
  floor: Type.Optional(integer('Refuse when the result would be below.')),
  ceiling: Type.Optional(integer('Refuse when the result would be above.')),
  saturate: Type.Optional(
    Type.Boolean({ description: 'At a bound, or at the end of 64 bits, apply what fits instead of refusing.' }),
  ),
  ttl: Type.Optional(ttl),
  ttlIfNone: Type.Optional(
    Type.Boolean({
      description: 'The `ttl` counts only when the counter has no deadline: a window that does not move.',
    }),
  ),
};
const by = Type.Optional(integer('How much; 1 without it. May be negative.'));
const numbers = Type.Optional(
  Type.Unsafe<'literal' | 'string'>({
    type: 'string',
    enum: ['literal', 'string'],
    description: 'Counts in the answer as integer literals (default) or, for clients that round them, as strings.',
  }),
);

export const NumbersQuery = Type.Object({ numbers }, CLOSED);
export type NumbersQuery = Static<typeof NumbersQuery>;

export const NameParams = Type.Object({ name });
/** The same, where the documentation suggests none. */
export const TypedNameParams = Type.Object({ name: Type.String({ description: NAME }) });
export type NameParams = Static<typeof NameParams>;

export const AddBody = Type.Object({ by, ...bounds }, body('AddBody', { by: 1 }));
export type AddBody = Static<typeof AddBody>;

export const SetBody = Type.Object(
  { value: integer('The new count.'), ttl: Type.Optional(ttl) },
  body('SetBody', { value: 1 }),
);
export type SetBody = Static<typeof SetBody>;

export const TtlBody = Type.Object(
  {
    ttl: Type.Unsafe<IntegerText | null>({
      type: ['integer', 'string', 'null'],
      pattern: DECIMAL,
      description: 'Seconds from now until the counter expires; null: it does not.',
    }),
  },
  body('TtlBody', { ttl: null }),
);
export type TtlBody = Static<typeof TtlBody>;

export const EmptyBody = Type.Object({}, CLOSED);

const consistency = Type.Optional(
  Type.Unsafe<'local' | 'region' | 'strong'>({
    type: 'string',
    enum: ['local', 'region', 'strong'],
    description:
      'What the read must have seen: what this node knows (default), or what the store of its region has. On a single node all three are the same.',
  }),
);

export const ReadQuery = Type.Object({ numbers, consistency }, CLOSED);

export const ReadManyQuery = Type.Object(
  {
    name: Type.Optional(
      Type.Unsafe<string | string[]>({
        type: ['string', 'array'],
        items: { type: 'string' },
        maxItems: PAGE_ENTRIES_MAX,
        description: 'A counter to read; give it once for each. Not together with `match`, `cursor` or `limit`.',
      }),
    ),
    match: Type.Optional(
      Type.String({
        description: 'List the counters whose name matches: `*`, `?`, `[a-z]`, `[^x]`, backslash. Without it: all.',
        examples: ['example:*'],
      }),
    ),
    cursor: Type.Optional(Type.String({ description: 'From the page before; empty or absent to start.' })),
    limit: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{0,4}$',
        description: `Counters in a page at most, 1 to ${PAGE_ENTRIES_MAX}; 100 without it.`,
        examples: ['100'],
      }),
    ),
    numbers,
    consistency,
  },
  CLOSED,
);
export type ReadManyQuery = Static<typeof ReadManyQuery>;

export const BatchEntry = Type.Object(
  {
    name,
    by,
    ...bounds,
    id: Type.Optional(
      Type.String({ description: 'Idempotency key of this entry: 1 to 255 printable ASCII characters.' }),
    ),
    at: Type.Optional(integer('When it happened, Unix seconds (not milliseconds). Checked, and not used yet.')),
  },
  { ...CLOSED, title: 'BatchEntry' },
);
export type BatchEntry = Static<typeof BatchEntry>;

const entries = Type.Array(BatchEntry, { maxItems: BATCH_ENTRIES_MAX });
export const BatchUpdates = Type.Object(
  { atomic: Type.Optional(Type.Boolean()), updates: entries },
  { ...CLOSED, title: 'BatchUpdates' },
);
/** For the documentation: bodies are read entry by entry, since each entry has its own outcome. */
export const BatchBody = Type.Union([entries, BatchUpdates], {
  title: 'BatchBody',
  examples: [[{ name: 'example:42', by: 1 }, { name: 'example:43' }]],
});
export const BatchLines = Type.String({
  description: 'NDJSON: one entry a line.',
  examples: ['{"name":"example:42","by":1}\n{"name":"example:43"}\n'],
});

export const BatchQuery = Type.Object(
  {
    atomic: Type.Optional(
      Type.Unsafe<'true' | 'false'>({
        type: 'string',
        enum: ['true', 'false'],
        description: 'All or nothing: when one entry is refused, none is applied.',
      }),
    ),
    numbers,
  },
  CLOSED,
);
export type BatchQuery = Static<typeof BatchQuery>;

const counterId = Type.Optional(
  Type.String({ description: 'The counter; `default` without it. In the query or in the body, not in both.' }),
);
export const SimpleQuery = Type.Object({ counter_id: counterId, numbers }, CLOSED);
export type SimpleQuery = Static<typeof SimpleQuery>;
export const SimpleBody = Type.Object(
  { value: Type.Optional(integer('How much; 1 without it.')), counter_id: counterId },
  body('SimpleBody', { value: 1, counter_id: 'example:42' }),
);
export type SimpleBody = Static<typeof SimpleBody>;

export const PostParams = Type.Object({
  post_id: Type.String({ description: 'The post, page or video.', examples: ['example'] }),
});
export type PostParams = Static<typeof PostParams>;
export const ActionBody = Type.Object(
  { action: Type.Unsafe<'increment' | 'decrement'>({ type: 'string', enum: ['increment', 'decrement'] }) },
  body('ActionBody', { action: 'increment' }),
);
export type ActionBody = Static<typeof ActionBody>;

// Answers, for the documentation.
const value = count('The count.');
const own = Type.Optional(
  count('Only while the store is away: what this node alone has counted; `value` is null then.'),
);
/** Null where only a part is known. */
const known = { ...value, type: ['integer', 'string', 'null'] };
export const AddAnswer = Type.Object(
  { name, value: known, own, applied: count('By how much the count changed.') },
  { title: 'AddAnswer' },
);
const asOf = Type.Optional(
  Type.String({
    description: 'With a store: what the region had counted at this time is in the value.',
    format: 'date-time',
  }),
);
const exists = Type.Unsafe<boolean | null>({
  type: ['boolean', 'null'],
  description: 'null where only a part of the count is known.',
});
export const Reading = Type.Object({ name, value: known, exists, own, asOf }, { title: 'Reading' });
export const SetAnswer = Type.Object(
  { name, value, previous: count('The count before, 0 when absent.') },
  { title: 'SetAnswer' },
);
export const DeleteAnswer = Type.Object(
  { name, deleted: Type.Boolean(), previous: count('The count before.') },
  { title: 'DeleteAnswer' },
);
export const TtlAnswer = Type.Object(
  {
    name,
    ttl: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'Seconds left, rounded up.' }),
    exists: Type.Boolean(),
  },
  { title: 'TtlAnswer' },
);
export const ReadManyAnswer = Type.Object(
  {
    counters: Type.Array(Type.Object({ name, value: known, exists: Type.Optional(exists), own }, { title: 'Listed' })),
    asOf,
    cursor: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        description: 'Of a listing: for the next page; null at the end.',
      }),
    ),
    onlyHeld: Type.Optional(
      Type.Boolean({
        description:
          'Of a listing, with a store: true, for of the shared counters only those that this node holds are listed.',
      }),
    ),
  },
  { title: 'ReadManyAnswer' },
);
const standing = {
  value: Type.Optional(count('Refused by a bound, an overflow or a condition: the count as it stays.')),
  ttl: Type.Optional(
    Type.Integer({
      description: 'Refused by a bound: seconds until the counter expires, rounded up; absent when it does not.',
    }),
  ),
};
const entryError = Type.Object({ code: Type.String(), detail: Type.String(), ...standing }, { title: 'EntryError' });
export const BatchAnswer = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          name: Type.Optional(name),
          value: Type.Optional(known),
          own,
          applied: Type.Optional(count('By how much the count changed.')),
          replayed: Type.Optional(Type.Boolean({ description: 'True when its `id` was applied before; else absent.' })),
          error: Type.Optional(entryError),
        },
        { title: 'EntryOutcome' },
      ),
      { description: 'In the order of the entries. Empty when an import chunk is replayed.' },
    ),
    refused: Type.Integer({ description: 'How many entries have an error.' }),
    replayed: Type.Boolean({ description: 'The whole batch was applied before: this time nothing changed.' }),
  },
  { title: 'BatchAnswer' },
);
export const SimpleUpdateAnswer = Type.Object(
  { success: Type.Boolean(), new_value: value },
  { title: 'SimpleUpdateAnswer' },
);
export const SimpleReadAnswer = Type.Object({ current_value: value }, { title: 'SimpleReadAnswer' });
export const PostAnswer = Type.Object(
  {
    count: value,
    updated_at: Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' }),
  },
  { title: 'PostAnswer' },
);
export const SnapshotAnswer = Type.Object(
  {
    file: Type.String(),
    counters: count('How many it holds.'),
    bytes: count('Its size.'),
    sequence: count('Of the last group that it covers.'),
  },
  { title: 'SnapshotAnswer' },
);
export const StatusAnswer = Type.Object({ status: Type.Literal('ok') }, { title: 'StatusAnswer' });

export const InfoAnswer = Type.Object(
  {
    version: Type.String(),
    state: Type.String({ description: 'open, failing (updates are refused), closing or closed.' }),
    durability: Type.String({ description: 'always, interval or off.' }),
    counters: count('How many there are.'),
    sequence: count('Of the newest group of updates.'),
    durableSequence: count('Of the newest group that is durable.'),
    groups: count('Written since the start.'),
    syncs: count('Of the journal since the start.'),
    commands: count('Taken since the start.'),
    journalBytes: count('Written since the last snapshot.'),
    tableBytes: count('Memory of the counters.'),
    tableBytesMax: count('How much that may become; further names are then refused.'),
    idempotencyRecords: count('Keys that are remembered.'),
    idempotencyBytes: count('Memory for them.'),
    failure: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'What the journal fails with.' }),
    store: Type.Optional(
      Type.Object({}, { description: 'With a store: how it stands between this node and the store.' }),
    ),
  },
  { title: 'InfoAnswer' },
);

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable; see the list in docs/http.md.' }),
    outcome: Type.Unsafe<'refused' | 'unknown'>({
      type: 'string',
      enum: ['refused', 'unknown'],
      description: 'refused: nothing changed. unknown: it may or may not count; retry with the same Idempotency-Key.',
    }),
    detail: Type.String(),
    index: Type.Optional(Type.Integer({ description: 'Of an atomic batch: the entry that was refused.' })),
    name: Type.Optional(Type.String({ description: 'Of an atomic batch: the counter of that entry.' })),
    overlap: Type.Optional(
      Type.String({ description: 'Of an import chunk that overlaps: the id through which it was imported.' }),
    ),
    ...standing,
  },
  { title: 'Problem', description: 'RFC 9457' },
);

/** The `response` part of a route's schema. */
export function answers(schema: TSchema, type = 'application/json'): Record<string, unknown> {
  return {
    200: { description: 'Done.', content: { [type]: { schema } } },
    default: {
      description: 'Refused or unknown.',
      headers: { 'Retry-After': { type: 'integer', description: 'With 429 and 503: seconds to wait.' } },
      content: { 'application/problem+json': { schema: Problem } },
    },
  };
}
