// Words that once had two meanings, or were a second word for something: docs/glossary.md says which one each has now.

import type { Finding, Source } from './source.ts';

interface Double {
  /** As the glossary lists it. */
  readonly word: string;
  readonly pattern: RegExp;
  readonly where: RegExp;
  readonly instead: string;
}

const CODE = /^(src|test|bench)\//;

export const DOUBLES: readonly Double[] = [
  { word: 'Exchange', pattern: /\bExchanges?\b(?!')/, where: /^src\/gateway\//, instead: 'PendingRequest' },
  { word: 'Session', pattern: /\b(class|interface|type) Session\b/, where: /^src\/gateway\//, instead: 'ClientState' },
  { word: 'Door', pattern: /\b(class|interface|type) Door\b/, where: /^src\/gateway\//, instead: 'DoorContext' },
  {
    word: 'Deadline',
    pattern: /\b(class|interface|type) Deadline\b/,
    where: /^src\/(client|store)\//,
    instead: 'TimeLimit',
  },
  { word: 'segment', pattern: /segment/i, where: /^src\/engine\/name-index/, instead: 'leaf' },
  { word: 'IdentityRecord', pattern: /\bIdentityRecord\b/, where: CODE, instead: 'IdentityDocument' },
  { word: 'OwnerRecord', pattern: /OwnerRecord\b/, where: CODE, instead: 'OwnerDocument' },
  { word: 'BucketRecord', pattern: /\bBucketRecord\b/, where: CODE, instead: 'BucketPosition' },
  { word: 'DamagedRecord', pattern: /\bDamagedRecord\b/, where: CODE, instead: 'DamagedState' },
  { word: 'additions.ts', pattern: /\.\/additions\.ts/, where: /^src\/gateway\//, instead: 'increment-fields.ts' },
  { word: 'applyNow', pattern: /\bapplyNow\b/, where: CODE, instead: 'executeNow' },
  { word: 'checkpoint', pattern: /\bcheckpoints?\b/i, where: /^(src|docs)\//, instead: 'snapshot' },
  { word: 'WAL', pattern: /\bWAL\b/, where: /^(src|docs)\//, instead: 'journal' },
  { word: 'tombstone', pattern: /\btombstones?\b/i, where: /^(src|docs)\//, instead: 'cut' },
];

const EXEMPT = ['docs/glossary.md', 'test/tidy/words.ts', 'test/tidy.test.ts'];

export function doubles(source: Source): Finding[] {
  const here = DOUBLES.filter(({ where }) => where.test(source.path) && !EXEMPT.includes(source.path));
  if (here.length === 0) return [];
  return source.text.split('\n').flatMap((text, at) =>
    here
      .filter(({ pattern }) => pattern.test(text))
      .map(({ word, instead }) => ({
        line: at + 1,
        complaint: `'${word}' means something else: write ${instead} (docs/glossary.md)`,
      })),
  );
}
