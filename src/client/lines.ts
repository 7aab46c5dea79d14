// The lines of an answer as they come.

/**
 * Ends without an error where the answer ends.
 * @param silenceMs after so long without a single byte it rejects; 0: never
 */
export async function* linesOf(response: Response, silenceMs = 0): AsyncGenerator<string> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  /** Pieces of a line that is not complete. */
  let rest: string[] = [];
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read());
      if (done) break;
      const lines = decoder.decode(value, { stream: true }).split("\n");
      const last = lines.pop()!;
      for (const line of lines) {
        yield withoutReturn(rest.join("") + line);
        rest = [];
      }
      if (last !== "") rest.push(last);
    }
    if (rest.length > 0) yield withoutReturn(rest.join(""));
  } finally {
    // Also when nobody wants more of it.
    reader.cancel().catch(() => {});
  }
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  if (ms === 0) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("Nothing came for too long.")), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
