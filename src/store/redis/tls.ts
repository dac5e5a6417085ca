/** TLS to Redis: whom to believe, and what the failures of a connection hint at. */
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { StoreRefusal } from '../slot-store.ts';
import type { TlsFiles } from './redis-url.ts';

/** Without files it is as Node.js has it, `NODE_EXTRA_CA_CERTS` included. @throws StoreRefusal when they cannot be used. */
export function secureContext({ cacert, cert, key }: TlsFiles): SecureContext {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  try {
    return createSecureContext({ ca: read(cacert), cert: read(cert), key: read(key) });
  } catch (error) {
    throw new StoreRefusal(`the files for TLS to Redis cannot be used: ${(error as Error).message}`);
  }
}

/** What may be wrong when a connection cannot be made, in words for whoever wrote the URL; empty when nobody knows. */
export function hint(message: string, isTls: boolean): string {
  if (!isTls) return /ECONNRESET|closed unexpectedly/.test(message) ? '; if it wants TLS, write rediss://' : '';
  if (/^Connection timeout|wrong version number/.test(message)) return '; without TLS it is redis://';
  if (/certificate in certificate chain|first certificate|issuer/.test(message))
    return '; the CA is named by ?cacert=FILE';
  return '';
}
