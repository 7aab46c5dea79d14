// Bounds how long a caller waits for an answer.

/**
 * Resolves with the answer.
 * @param ms longest time to wait, in milliseconds
 * @throws Error if there is no answer in time; what was asked for continues
 */
export async function inTime<T>(answer: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
