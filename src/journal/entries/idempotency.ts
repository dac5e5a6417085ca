/** An idempotency key, what it was used for, and what was answered. */
import { IDEMPOTENCY_KEY_BYTES_MAX } from '../../counter/limits.ts';
import { assert } from '../../std/assert.ts';
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { readHex, readMs } from './words.ts';

/** Unix ms (two words), scope and lengths. */
const FIXED_BYTES = 12;

/** Its fields own their memory. */
export interface IdempotencyRecord {
  readonly scope: 'request' | 'import';
  /** 1 to 255 printable ASCII characters. */
  readonly key: string;
  /** Lower-case hex of at most 32 bytes. */
  readonly fingerprint: string;
  readonly appliedAtMs: number;
  /** The outcomes of the commands as the engine packs them; the journal does not look inside. */
  readonly outcomes: Uint8Array;
}

export interface IdempotencyReplay {
  idempotency(record: IdempotencyRecord): void;
}

export const IDEMPOTENCY: EntryType<IdempotencyReplay> = {
  number: 4,
  replay({ bytes, words }, at, length, replay) {
    const lengths = words[(at >> 2) + 2];
    const scope = lengths & 0xff;
    const keyStart = at + FIXED_BYTES;
    const keyEnd = keyStart + ((lengths >>> 8) & 0xff);
    const fingerprintEnd = keyEnd + ((lengths >>> 16) & 0xff);
    if (length < FIXED_BYTES || scope > 1 || fingerprintEnd > at + length) return false;
    replay.idempotency({
      scope: scope === 1 ? 'import' : 'request',
      key: Buffer.from(bytes.buffer, keyStart, keyEnd - keyStart).toString('latin1'),
      fingerprint: readHex(bytes, keyEnd, fingerprintEnd - keyEnd),
      appliedAtMs: readMs(words, at),
      outcomes: bytes.slice(fingerprintEnd, at + length),
    });
    return true;
  },
};

export function putIdempotency(group: GroupBuffer, record: IdempotencyRecord): void {
  const { key, fingerprint, outcomes } = record;
  assert(key.length > 0 && key.length <= IDEMPOTENCY_KEY_BYTES_MAX, 'an idempotency key has 1 to 255 characters');
  assert(fingerprint.length % 2 === 0 && fingerprint.length <= 64, 'a fingerprint has at most 32 bytes');
  const fingerprintBytes = fingerprint.length / 2;
  const length = FIXED_BYTES + key.length + fingerprintBytes + outcomes.length;
  const at = group.open(IDEMPOTENCY.number, length);
  const bytes = group.pieceBytes;
  group.putMs(at, record.appliedAtMs);
  group.pieceWords[(at >> 2) + 2] = (record.scope === 'import' ? 1 : 0) | (key.length << 8) | (fingerprintBytes << 16);
  let to = at + FIXED_BYTES;
  for (let i = 0; i < key.length; i++) {
    const character = key.charCodeAt(i);
    assert(character >= 0x20 && character < 0x7f, 'an idempotency key is printable ASCII');
    bytes[to++] = character;
  }
  for (let i = 0; i < fingerprint.length; i += 2) {
    bytes[to++] = (hexDigit(fingerprint.charCodeAt(i)) << 4) | hexDigit(fingerprint.charCodeAt(i + 1));
  }
  bytes.set(outcomes, to);
}

/** Without a pattern or a piece of text for each: a batch has ten thousand of them. */
function hexDigit(character: number): number {
  const isLetter = character >= 0x61 && character <= 0x66;
  assert(isLetter || (character >= 0x30 && character <= 0x39), 'a fingerprint is lower-case hex');
  return isLetter ? character - 0x57 : character - 0x30;
}
