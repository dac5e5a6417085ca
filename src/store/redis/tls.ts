/** TLS to Redis: trusted CAs, and hints for failed connections. */
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { StoreRefusal } from '../slot-store.ts';
import type { TlsFiles } from './redis-url.ts';

/**
 * Without files, Node's settings apply, including `NODE_EXTRA_CA_CERTS`. @throws StoreRefusal if they cannot be used.
 */
export function secureContext({ cacert, cert, key }: TlsFiles): SecureContext {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  try {
    return createSecureContext({ ca: read(cacert), cert: read(cert), key: read(key) });
  } catch (error) {
    throw new StoreRefusal(`the files for TLS to Redis cannot be used: ${(error as Error).message}`);
  }
}

/** A hint about what may be wrong with the URL when a connection fails; empty if unknown. */
export function hint(message: string, isTls: boolean): string {
  if (!isTls) return /ECONNRESET|closed unexpectedly/.test(message) ? '; if it wants TLS, write rediss://' : '';
  if (/^Connection timeout|wrong version number/.test(message)) return '; without TLS it is redis://';
  if (/certificate in certificate chain|first certificate|issuer/.test(message))
    return '; the CA is named by ?cacert=FILE';
  return '';
}
