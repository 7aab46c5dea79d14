// Keeps the replies to recent operations, for callers that repeat an operation because its reply was lost.

const maxReplies = 256;

export class Replies {
  readonly #replies = new Map<string, unknown>();

  /** Runs an operation once and returns the same reply to each repetition. */
  once<T>(operation: string, run: () => T): T {
    if (this.#replies.has(operation)) return this.#replies.get(operation) as T;
    const reply = run();
    this.#replies.set(operation, reply);
    if (this.#replies.size > maxReplies) this.#replies.delete(this.#replies.keys().next().value!);
    return reply;
  }
}
