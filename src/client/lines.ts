// Splits a response into lines as it arrives.

/**
 * Yields the lines of a response. Ends without an error where the response ends.
 * @param silenceMs rejects after so many milliseconds without a byte. Default: 0, never
 */
export async function* linesOf(response: Response, silenceMs = 0): AsyncGenerator<string> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  /** Parts of an incomplete line. */
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
    // Cancels also if the consumer stops early.
    reader.cancel().catch(() => {});
  }
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  if (ms === 0) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("The service sent nothing for too long.")), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
