/**
 * Idempotency keys. UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits. With keys that carry their time
 * the server can refuse an expired key instead of counting a very late retry as new.
 */

/** @returns a new UUIDv7 of the current time. */
export function freshKey(nowMs: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(nowMs / 2 ** 32));
  view.setUint32(2, nowMs % 2 ** 32);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** @throws TypeError unless the server would accept the text as an idempotency key. */
export function checkKey(key: string): string {
  if (typeof key !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(key) || key.trim() !== key) {
    throw new TypeError('an idempotency key takes 1 to 255 printable ASCII characters, no space at its ends');
  }
  return key;
}
