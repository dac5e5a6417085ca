/**
 * Bytes between a client's socket and its connection. Node hands every read on as a buffer of its own and takes every
 * write through a queue of objects; with one request per round trip that costs more than to count. So where it can be
 * done, transport is *direct*: all sockets of a door read into one buffer, and replies are written to the descriptor
 * at once, as long as nothing is queued. (Measured with one request per round trip: 9.7 instead of 13.4 us of CPU for a
 * read and a write, most of which is the kernel's.)
 *
 * A socket that reads into a buffer is documented for clients only (`onread`); for an accepted one this file moves the
 * handle from one socket to another, for which it uses the undocumented `_handle` and the option of that name. Where
 * Node does not have them, and when it is asked for, transport is by *events*: `'data'` and `write`, with the same
 * outcome.
 */
import { writeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';

export type TransportKind = 'direct' | 'events';

/** Takes what a socket has received. Bytes that are `lent` are overwritten by the next read of any socket. */
export type Receive = (bytes: Buffer, length: number, lent: boolean) => void;

/** What one read takes at most. */
const READ_BYTES = 64 * 1024;

/** What there is of Node's internals where transport can be direct. */
interface Handle {
  readonly fd: number;
  readonly useUserBuffer: unknown;
}

interface WithHandle {
  _handle?: Handle | null;
}

export class Transport {
  readonly socket: Socket;
  readonly #isDirect: boolean;

  private constructor(socket: Socket, isDirect: boolean) {
    this.socket = socket;
    this.#isDirect = isDirect;
  }

  /** Takes over an accepted socket that is paused, and starts reading. */
  static open(accepted: Socket, shared: Buffer | undefined, receive: Receive): Transport {
    const handle = (accepted as WithHandle)._handle;
    if (shared === undefined || typeof handle?.useUserBuffer !== 'function' || !(handle.fd >= 0)) {
      accepted.on('data', (bytes: Buffer) => receive(bytes, bytes.length, false));
      accepted.resume();
      return new Transport(accepted, false);
    }
    (accepted as WithHandle)._handle = null;
    // Without its handle it closes nothing; the server counts it as gone.
    accepted.destroy();
    const callback = (length: number): boolean => {
      receive(shared, length, true);
      return true;
    };
    const options: SocketConstructorOpts = {
      allowHalfOpen: true,
      readable: true,
      writable: true,
      onread: { buffer: shared, callback },
    };
    return new Transport(new Socket(Object.assign(options, { handle })), true);
  }

  /** The buffer that the sockets of a door read into; undefined: by events. */
  static buffer(kind: TransportKind): Buffer | undefined {
    return kind === 'direct' ? Buffer.allocUnsafeSlow(READ_BYTES) : undefined;
  }

  /**
   * Writes what the kernel takes at once of `bytes[from, to)`. Why it takes nothing is not told: what is left goes to
   * the socket, which then says it.
   * @returns how many bytes it took
   */
  writeNow(bytes: Buffer, from: number, to: number): number {
    if (!this.#isDirect || this.socket.writableLength > 0 || this.socket.destroyed) return 0;
    // Asked for each time: a descriptor that is closed is given to somebody else.
    const fd = (this.socket as WithHandle)._handle?.fd ?? -1;
    if (fd < 0) return 0;
    try {
      return writeSync(fd, bytes, from, to - from);
    } catch {
      return 0;
    }
  }
}
