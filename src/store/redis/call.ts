/** One call of the store, while it lasts. */
export interface Call {
  /** @param isRepeatable Whether it may be resent if its answer is lost. */
  send(key: string, command: readonly string[], isRepeatable?: boolean): Promise<unknown>;
  /** @param verify Throws if the answers show that these are not the masters, which are then looked up again. */
  sendToMasters(
    command: readonly string[],
    verify?: (answers: readonly unknown[]) => void,
  ): Promise<readonly unknown[]>;
}
