/** Groups and their encodings, used again: under load a commit then allocates nothing. */
import { SEALED_GROUPS_MAX } from '../counter/limits.ts';
import { GroupBuffer } from '../journal/group.ts';
import { Group } from './group.ts';

export class GroupPool {
  readonly #groups: Group[] = [];
  readonly #buffers: GroupBuffer[] = [];
  #nextOrder = 0;

  /** A group that is empty, next in order. */
  take(): Group {
    const group = this.#groups.pop() ?? new Group();
    group.reset(this.#nextOrder++, this.#buffers.pop() ?? new GroupBuffer());
    return group;
  }

  /** Takes back the encoding of a group that no longer needs it. */
  giveBuffer(group: Group): void {
    if (group.buffer !== undefined && this.#buffers.length < SEALED_GROUPS_MAX) this.#buffers.push(group.buffer);
    group.buffer = undefined;
  }

  /** Takes back a group without waiters. */
  give(group: Group): void {
    this.giveBuffer(group);
    if (this.#groups.length < SEALED_GROUPS_MAX) this.#groups.push(group);
  }
}
