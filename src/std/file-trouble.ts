/** Describes a file error in words and with the system's code, without the system call and the path in its message. */
export function fileTrouble(error: unknown): string {
  const { code = '', message } = error as { readonly code?: string; readonly message: string };
  const words = WORDS[code];
  return words === undefined ? message : `${words} (${code})`;
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'it is not a directory, or a part of the path is none',
  EIO: 'the disk reports an error',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
};
