/**
 * The small files of a data directory (`replica.json`, `owner.json`): JSON for people, whose last field is the checksum
 * of all before it.
 *
 * Invariants:
 * - A file is replaced by rename and synced, so it is never torn.
 * - No content is used before the checksum, and then every field, has been verified. Only files of earlier versions
 *   have no checksum.
 */
import { crc32 } from 'node:zlib';
import type { Disk } from '../host/host.ts';
import { assert } from '../std/assert.ts';
import { DamageError } from './errors.ts';
import { TEMPORARY_SUFFIX } from './format.ts';

/** The field with the checksum; content must not have a field of this name. */
const FIELD = 'crc32';
const BEFORE_CHECKSUM = `,\n  "${FIELD}": "`;
const END = /^[0-9a-f]{8}"\n\}\n$/;
export const CHECKSUM_DIGITS = 8;
/** Longer ones are neither written nor read. */
const BYTES_MAX = 16 * 1024 * 1024;

export interface SmallFile {
  readonly content: Readonly<Record<string, unknown>>;
  /** False: it has no checksum, as an earlier version wrote it. */
  readonly isChecked: boolean;
}

/** The current bytes of a file; undefined if there is none. @throws DamageError, the disk's errors */
export async function readSmallFile(disk: Disk, name: string): Promise<Uint8Array | undefined> {
  if (!(await disk.list()).includes(name)) return undefined;
  const file = await disk.open(name, 'read');
  try {
    const size = await file.size();
    if (size > BYTES_MAX) throw new DamageError(name, BYTES_MAX, `it is longer than ${BYTES_MAX} bytes`);
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

/** The content in the bytes of the file `name`. @throws DamageError */
export function decodeSmallFile(name: string, bytes: Uint8Array): SmallFile {
  const text = textOf(name, bytes);
  const at = text.lastIndexOf(BEFORE_CHECKSUM);
  const end = text.slice(at + BEFORE_CHECKSUM.length);
  const isChecked = at >= 0 && END.test(end);
  const body = isChecked ? text.slice(0, at) : text;
  if (isChecked && checksumText(body) !== end.slice(0, CHECKSUM_DIGITS)) {
    throw new DamageError(name, 0, 'its checksum is wrong');
  }
  const content = parseJson(name, isChecked ? `${body}\n}` : body);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new DamageError(name, 0, 'it is no JSON object');
  }
  if (FIELD in content) throw new DamageError(name, 0, 'its checksum is not where it belongs');
  return { content: content as Record<string, unknown>, isChecked };
}

export function encodeSmallFile(content: object): Uint8Array {
  const json = JSON.stringify(content, null, 2);
  assert(json.endsWith('\n}') && !(FIELD in content), 'a small file has fields, and its checksum is none of them');
  const body = json.slice(0, -'\n}'.length);
  const bytes = Buffer.from(`${body}${BEFORE_CHECKSUM}${checksumText(body)}"\n}\n`);
  assert(bytes.length <= BYTES_MAX, 'a small file is small');
  return bytes;
}

/** Durably replaces or creates the file. @throws the disk's errors */
export async function replaceSmallFile(disk: Disk, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = name + TEMPORARY_SUFFIX;
  if ((await disk.list()).includes(temporary)) await disk.unlink(temporary);
  const file = await disk.open(temporary, 'create');
  try {
    await file.write(bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, name);
  await disk.syncDirectory();
}

/** The CRC-32 of a text in UTF-8, as people read it. */
export function checksumText(text: string): string {
  return crc32(text).toString(16).padStart(CHECKSUM_DIGITS, '0');
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw new DamageError(name, 0, 'it is no UTF-8');
    throw error;
  }
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new DamageError(name, 0, 'it is no JSON');
    throw error;
  }
}
