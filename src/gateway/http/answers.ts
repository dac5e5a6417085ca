/**
 * JSON answers on their way out. A client may ask for much in few bytes (pages of a listing, one request behind the
 * other) and never read it: what a connection has not read is bounded, and beyond that the connection is closed.
 */
import type { Socket } from 'node:net';
import { OUTPUT_BYTES_MAX } from '../../counter/limits.ts';
import type { Reply } from './reply.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
/** Smaller answers are not added up: the request that each of them takes bounds them. */
const SMALL_ANSWER_BYTES = 16 * 1024;
const unreadBytes = new WeakMap<Socket, number>();

/** Answers with JSON. */
export function sendJson(reply: Reply, json: string | Buffer): void {
  if (json.length > SMALL_ANSWER_BYTES && !isBearable(reply, json.length)) return;
  reply.header('content-type', JSON_TYPE).send(json);
}

/** Counts a large answer until it is out; closes the connection when there are too many of them. */
function isBearable(reply: Reply, bytes: number): boolean {
  const { socket } = reply.request.raw;
  const unread = (unreadBytes.get(socket) ?? 0) + bytes;
  if (unread > OUTPUT_BYTES_MAX) {
    socket.destroy();
    return false;
  }
  unreadBytes.set(socket, unread);
  reply.raw.once('close', () => unreadBytes.set(socket, (unreadBytes.get(socket) ?? 0) - bytes));
  return true;
}
