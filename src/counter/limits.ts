/** Every limit of the product in one place, with their relations asserted below. Units are in the names. */
import { assert } from '../std/assert.ts';

/** A counter's name, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 255;
/** A pattern of names, in bytes of UTF-8: enough for a small class for each byte of the longest name. */
export const PATTERN_BYTES_MAX = 1024;
/** Updates in one HTTP batch or one import chunk. */
export const BATCH_ENTRIES_MAX = 10_000;
/** Commands in one chunk: a service accepts them at once and makes them durable in one group. */
export const CHUNK_COMMANDS_MAX = 16_384;
/** Different counters that one group can touch: a record keeps its place in the group in 16 bits. */
export const GROUP_RECORDS_MAX = 65_536;
/** Groups that are sealed and not yet written; beyond it chunks wait. */
export const SEALED_GROUPS_MAX = 4;
/** Bytes written and not yet synced; beyond this every durability mode syncs. */
export const UNSYNCED_BYTES_MAX = 64 * 1024 * 1024;
/** The idempotency records of a group, as the journal encodes them; its last chunk may exceed this. */
export const GROUP_IDEMPOTENCY_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes that an idempotency record keeps for one command: see `engine/outcomes.ts`. */
export const OUTCOME_BYTES = 22;
/** An idempotency key, in bytes. */
export const IDEMPOTENCY_KEY_BYTES_MAX = 255;
/**
 * A group as the journal encodes it: recovery must hold one in memory to check it. Nearly all are a few KiB; the
 * longest is the one that restates, all or nothing, what a failing disk left in doubt.
 */
export const GROUP_BYTES_MAX = 512 * 1024 * 1024;
/** One entry of a group: the outcomes of a whole chunk are the longest. */
export const GROUP_ENTRY_BYTES_MAX = 512 * 1024;
/** Names per page of a listing, and per multi-get over HTTP. */
export const PAGE_ENTRIES_MAX = 10_000;
/** An HTTP request's body: 10 000 batch entries with the longest names, keys and bounds. */
export const HTTP_BODY_BYTES_MAX = 16 * 1024 * 1024;
/** One argument of a RESP command. */
export const RESP_ARGUMENT_BYTES_MAX = 64 * 1024;
/** Arguments in one RESP command. */
export const RESP_ARGUMENTS_MAX = 20_001;
/** One RESP command with all its arguments, as bytes on the wire. */
export const RESP_COMMAND_BYTES_MAX = 8 * 1024 * 1024;
/** An inline RESP command (a line without a RESP header). */
export const RESP_INLINE_BYTES_MAX = 64 * 1024;
/** What a RESP client reports about itself: its name, its library and the library's version. */
export const CLIENT_NAME_BYTES_MAX = 255;
/** Commands between MULTI and EXEC. */
export const RESP_TRANSACTION_COMMANDS_MAX = 10_000;
/** Those among them that do not count: EXEC executes all of them in one turn, and some have long replies. */
export const RESP_TRANSACTION_OTHERS_MAX = 64;
/** Replies that a client has not read yet; beyond this the connection is closed. */
export const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;
/** Time for a connection to authenticate if a secret is set; then it is closed. */
export const AUTHENTICATION_MS = 5_000;
/** A RESP request of an unauthenticated client: AUTH or HELLO with the longest secret. */
export const RESP_UNAUTHENTICATED_BYTES_MAX = 4 * 1024;
/** The secret, in characters of printable ASCII. */
export const SECRET_BYTES_MAX = 1024;
/** Open connections per door; further ones are refused. */
export const CONNECTIONS_MAX = 20_000;
/** The latest deadline: 2^53 ms is far in the future and still exact. */
export const DEADLINE_MS_MAX = Number.MAX_SAFE_INTEGER;

assert(BATCH_ENTRIES_MAX <= CHUNK_COMMANDS_MAX, 'a batch fits in a chunk');
assert(
  SECRET_BYTES_MAX + CLIENT_NAME_BYTES_MAX + 256 <= RESP_UNAUTHENTICATED_BYTES_MAX,
  'whoever knows the secret can show it, and set a name with it',
);
assert(RESP_TRANSACTION_COMMANDS_MAX <= CHUNK_COMMANDS_MAX, 'a transaction fits in a chunk');
assert(CHUNK_COMMANDS_MAX * 2 <= GROUP_RECORDS_MAX, 'a chunk fits in a group, a counter and one derived record each');
assert(CHUNK_COMMANDS_MAX * OUTCOME_BYTES + 1024 <= GROUP_ENTRY_BYTES_MAX, 'the outcomes of a chunk fit in one entry');

/** The longest group of ordinary traffic: all records with deadlines, and a chunk with an id for each command. */
const ORDINARY_GROUP_BYTES_MAX =
  GROUP_RECORDS_MAX * 3 * (NAME_BYTES_MAX + 32) +
  GROUP_IDEMPOTENCY_BYTES_MAX +
  CHUNK_COMMANDS_MAX * (IDEMPOTENCY_KEY_BYTES_MAX + OUTCOME_BYTES + 64);
assert(
  UNSYNCED_BYTES_MAX + (SEALED_GROUPS_MAX + 2) * ORDINARY_GROUP_BYTES_MAX <= GROUP_BYTES_MAX,
  'everything that is not durable fits in one group, which is all or nothing',
);
