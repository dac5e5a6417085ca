/**
 * Clients that do not read their answers are cut off. The socket's own timeout does not do it in time: each write
 * begins it anew, and Node takes the first part that leaves for progress.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../host/host.ts';

const CHECK_MS_MAX = 5_000;
const CHECKS_MIN = 4;

interface Stuck {
  /** What the kernel had taken by then. */
  readonly takenBytes: number;
  readonly sinceMs: number;
}

export class UnreadAnswers {
  readonly #sockets: ReadonlySet<Socket>;
  readonly #clock: Clock;
  readonly #silenceMs: number;
  #stuck = new Map<Socket, Stuck>();
  #timer: Timer;

  /** Watches all of these sockets, those too that come later. @param silenceMs without any piece of an answer taken. */
  constructor(sockets: ReadonlySet<Socket>, clock: Clock, silenceMs: number) {
    this.#sockets = sockets;
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#timer = this.#checkLater();
  }

  close(): void {
    this.#timer.cancel();
  }

  #checkLater(): Timer {
    return this.#clock.schedule(Math.min(CHECK_MS_MAX, this.#silenceMs / CHECKS_MIN), () => {
      this.#timer = this.#checkLater();
      this.#check();
    });
  }

  #check(): void {
    const nowMs = this.#clock.monotonicMs();
    const stuck = new Map<Socket, Stuck>();
    for (const socket of this.#sockets) {
      if (socket.writableLength === 0) continue;
      const takenBytes = socket.bytesWritten - socket.writableLength;
      const before = this.#stuck.get(socket);
      const since = before?.takenBytes === takenBytes ? before : { takenBytes, sinceMs: nowMs };
      if (nowMs - since.sinceMs >= this.#silenceMs) socket.destroy();
      else stuck.set(socket, since);
    }
    this.#stuck = stuck;
  }
}
