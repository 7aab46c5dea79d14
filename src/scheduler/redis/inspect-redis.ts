// What a Redis server tells about itself, for `sluice doctor`. Uses only commands that managed servers allow.
import { connect, refusalOf, untilReady } from "./scheduler-connection.ts";

export interface RedisFacts {
  /** Such as `Redis`, `Valkey` or `Dragonfly`. */
  kind: string;
  /** Such as 7.4.2; for Valkey that of Valkey. Undefined if the server does not tell. */
  version: string | undefined;
  /** The version of Redis that it says it is compatible with. */
  redisVersion: string | undefined;
  /** `master` or `slave`. */
  role: string | undefined;
  /** maxmemory-policy; undefined if the server does not tell. */
  evictionPolicy: string | undefined;
  isCluster: boolean;
  runsScripts: boolean;
  /** The server's clock minus that of this machine, in milliseconds. */
  clockAheadMs: number;
}

/** @throws an Error with the server's or the network's own words; RedisRefusedError for a wrong password or server */
export async function inspectRedis(url: string, timeoutMs: number): Promise<RedisFacts> {
  const client = connect(url, timeoutMs);
  let trouble: Error | undefined;
  client.on("error", (error: Error) => {
    trouble ??= error;
  });
  try {
    await untilReady(client, timeoutMs);
    if (client.status !== "ready") throw trouble ?? new Error("no answer in time");
    const info = String(await client.call("INFO"));
    const field = (name: string) => new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1];
    const sentAt = Date.now();
    const [seconds, micros] = (await client.call("TIME")) as [string, string];
    const middle = (sentAt + Date.now()) / 2;
    const runsScripts = await client.call("EVAL", "return 1", "0").then(
      () => true,
      () => false,
    );
    const redisVersion = field("redis_version");
    return {
      ...kindOf(field, redisVersion),
      redisVersion,
      role: field("role"),
      evictionPolicy: field("maxmemory_policy"),
      isCluster: field("cluster_enabled") === "1",
      runsScripts,
      clockAheadMs: Number(seconds) * 1000 + Number(micros) / 1000 - middle,
    };
  } catch (error) {
    throw refusalOf(error) ?? error;
  } finally {
    client.disconnect();
  }
}

function kindOf(
  field: (name: string) => string | undefined,
  redisVersion: string | undefined,
): Pick<RedisFacts, "kind" | "version"> {
  const others = [
    ["Valkey", "valkey_version"],
    ["Dragonfly", "dragonfly_version"],
    ["Kvrocks", "kvrocks_version"],
  ] as const;
  for (const [kind, name] of others) {
    const version = field(name)?.replace(/^\D*-?v/, "");
    if (version !== undefined) return { kind, version };
  }
  return { kind: "Redis", version: redisVersion };
}
