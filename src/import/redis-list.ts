// Reads the queue of the Python service that preceded Sluice from Redis: a list of ids, and hashes `job:<id>`.
import { type ChainableCommander, Redis } from "ioredis";
import type { OldJob, OldQueue } from "./import-queue.ts";

export interface RedisList extends OldQueue {
  close(): void;
}

/** An error of Redis. It passes on only the message, because ioredis attaches the command with its password. */
class RedisListError extends Error {
  override readonly name = "RedisListError";
}

const timeoutMs = 10_000;

/**
 * Connects to the old queue.
 * @throws RedisListError, as every operation does, if Redis is unreachable or refuses
 */
export async function openRedisList(url: string, list: string): Promise<RedisList> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    // An interrupted import can simply be repeated.
    retryStrategy: () => null,
  });
  // A failed connect reports only "Connection is closed.", so this keeps the cause.
  let cause: unknown;
  redis.on("error", (error) => {
    cause = error;
  });
  const withPlainErrors = <T>(answer: Promise<T>): Promise<T> =>
    answer.catch((error: unknown) => {
      const { message, code } = (cause ?? error) as NodeJS.ErrnoException;
      throw new RedisListError(`The Redis at ${new URL(url).host} failed: ${message || code}`);
    });
  try {
    await withPlainErrors(redis.connect());
  } catch (error) {
    redis.disconnect();
    throw error;
  }

  return {
    length: () => withPlainErrors(redis.llen(list)),
    ids: (from, count) => withPlainErrors(redis.lrange(list, from, from + count - 1)),

    async read(ids, maxPromptBytes) {
      const looks = redis.pipeline();
      for (const id of ids) looks.hget(`job:${id}`, "status").hstrlen(`job:${id}`, "prompt");
      const answers = await withPlainErrors(replies(looks));
      const jobs: OldJob[] = ids.map((_, i) => ({
        status: (answers[2 * i] as string | null) ?? undefined,
        promptBytes: (answers[2 * i + 1] as number | null) ?? 0,
      }));
      const readable = ids.flatMap((id, i) => (jobs[i]!.promptBytes <= maxPromptBytes ? [{ id, job: jobs[i]! }] : []));
      const reads = redis.pipeline();
      for (const { id } of readable) reads.hget(`job:${id}`, "prompt");
      const prompts = await withPlainErrors(replies(reads));
      readable.forEach(({ job }, i) => {
        job.prompt = (prompts[i] as string | null) ?? undefined;
      });
      return jobs;
    },

    async remove(ids) {
      const removals = redis.pipeline();
      for (const id of ids) removals.lrem(list, 1, id);
      await withPlainErrors(replies(removals));
    },

    close: () => redis.disconnect(),
  };
}

/** Returns the replies, with null for a key that holds something other than a hash. */
async function replies(pipeline: ChainableCommander): Promise<unknown[]> {
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error, value]) => {
    if (error && !error.message.startsWith("WRONGTYPE")) throw error;
    return error ? null : value;
  });
}
