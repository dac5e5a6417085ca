/** What the server knows about one client. */
import type { Principal } from '../auth/principal.ts';
import type { Protocol } from './reply-writer.ts';
import type { Transaction, Weighed } from './transaction.ts';

export class ClientState<Command extends Weighed> {
  /** Unique in this process. */
  readonly id: number;
  /** `address:port` of the client and of the server. */
  readonly peer: string;
  readonly local: string;
  /** `Clock.monotonicMs` of the connection's begin. */
  readonly openedMs: number;
  principal: Principal;
  /** `Clock.monotonicMs` since when it has been required to authenticate. */
  strangerSinceMs: number;
  /** The last secret that was shown is wrong. */
  guessedWrong = false;
  protocol: Protocol = 2;
  name = '';
  libraryName = '';
  libraryVersion = '';
  /** Open since MULTI. */
  transaction: Transaction<Command> | undefined = undefined;
  /** Nothing more is read; the connection closes when everything is answered. */
  quitting = false;

  constructor(id: number, peer: string, local: string, openedMs: number, principal: Principal) {
    this.id = id;
    this.peer = peer;
    this.local = local;
    this.openedMs = openedMs;
    this.principal = principal;
    this.strangerSinceMs = openedMs;
  }

  /** No command needs to be asked about. */
  get authenticated(): boolean {
    return this.principal.mayAll;
  }
}
