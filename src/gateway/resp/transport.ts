/**
 * Bytes between a client's socket and its connection. Node delivers every read as a separate buffer and passes every
 * write through a queue of objects; with one request per round trip that costs more than counting. So where possible,
 * transport is *direct*: all sockets of a door read into one buffer, and replies are written to the descriptor at once,
 * as long as nothing is queued. (Measured with one request per round trip: 9.7 instead of 13.4 us of CPU for a read and
 * a write, most of which is the kernel's.)
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

/** The maximum size of one read. */
const READ_BYTES = 64 * 1024;

/** Node's internals, if transport can be direct. */
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
    // Without its handle its close has no effect; the server counts it as closed.
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
   * Writes as much of `bytes[from, to)` as the kernel takes at once. Errors are not reported here: the rest goes to the
   * socket, which then reports them.
   * @returns how many bytes it took
   */
  writeNow(bytes: Buffer, from: number, to: number): number {
    if (!this.#isDirect || this.socket.writableLength > 0 || this.socket.destroyed) return 0;
    // Read each time: a closed descriptor may be reused for another file.
    const fd = (this.socket as WithHandle)._handle?.fd ?? -1;
    if (fd < 0) return 0;
    try {
      return writeSync(fd, bytes, from, to - from);
    } catch {
      return 0;
    }
  }
}
