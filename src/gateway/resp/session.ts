/** What the server knows about one client. */
import type { Protocol } from './reply-writer.ts';
import type { Transaction } from './transaction.ts';

export class Session {
  /** Unique in this process. */
  readonly id: number;
  /** `address:port` of the client and of the server. */
  readonly peer: string;
  readonly local: string;
  /** `Clock.monotonicMs` of the connection's begin. */
  readonly openedMs: number;
  authenticated: boolean;
  /** `Clock.monotonicMs` since when it has to show the secret. */
  strangerSinceMs: number;
  /** The last secret that was shown is wrong. */
  guessedWrong = false;
  protocol: Protocol = 2;
  name = '';
  libraryName = '';
  libraryVersion = '';
  /** Open since MULTI. */
  transaction: Transaction | undefined = undefined;
  /** Nothing more is read; the connection ends when everything is answered. */
  quitting = false;

  constructor(id: number, peer: string, local: string, openedMs: number, authenticated: boolean) {
    this.id = id;
    this.peer = peer;
    this.local = local;
    this.openedMs = openedMs;
    this.authenticated = authenticated;
    this.strangerSinceMs = openedMs;
  }
}
