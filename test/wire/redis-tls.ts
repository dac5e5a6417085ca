// TLS for Redis servers of the test's own: a CA and a certificate from it, made by openssl when they are needed.

import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const openssl = (words: readonly string[]) => run('openssl', words);

/** PEM files; the certificate serves servers and clients alike. */
export interface Certificates {
  readonly cacert: string;
  readonly cert: string;
  readonly key: string;
}

/** @param names what the servers are called, as `IP:127.0.0.1` or `DNS:localhost` */
export async function makeCertificates(root: string, names = 'IP:127.0.0.1'): Promise<Certificates> {
  const directory = mkdtempSync(join(root, 'tls-'));
  const at = (file: string) => join(directory, file);
  const fresh = (name: string, file: string) =>
    ['req', '-x509', '-days', '2', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'].concat([
      '-subj',
      `/CN=${name}`,
      '-keyout',
      at(`${file}.key`),
      '-out',
      at(`${file}.pem`),
    ]);
  await openssl(fresh('a CA of this test', 'ca'));
  const byCa = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-addext', 'basicConstraints=critical,CA:FALSE'];
  await openssl([...fresh('redis', 'server'), ...byCa, '-addext', `subjectAltName=${names}`]);
  return { cacert: at('ca.pem'), cert: at('server.pem'), key: at('server.key') };
}

/** Settings of a server that takes nothing but TLS, and only from clients with a certificate. */
export function tlsSettings(port: number, { cacert, cert, key }: Certificates): Record<string, string> {
  const files = { 'tls-ca-cert-file': cacert, 'tls-cert-file': cert, 'tls-key-file': key };
  return { port: '0', 'tls-port': `${port}`, 'tls-cluster': 'yes', 'tls-replication': 'yes', ...files };
}

/** What a store's URL ends with. */
export function tlsQuery(files: Partial<Certificates>): string {
  return `?${new URLSearchParams(files as Record<string, string>)}`;
}
