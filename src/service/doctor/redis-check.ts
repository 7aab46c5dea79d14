// The checks of Redis: reachable, kind and version, TLS, eviction policy, role, scripts, clock.
import { inspectRedis, type RedisFacts } from "../../scheduler/redis/inspect-redis.ts";
import { RedisRefusedError } from "../../scheduler/redis/scheduler-connection.ts";
import { clockFinding, type Finding, fix, isAtLeast, isLocalAddress, note, ok, skip } from "./findings.ts";

const timeoutMs = 3_000;

export async function checkRedis(url: string): Promise<Finding[]> {
  let facts: RedisFacts;
  try {
    facts = await inspectRedis(url, timeoutMs);
  } catch (error) {
    return [unusable(error, url)];
  }
  return redisFindings(facts, url);
}

/** Judges what a server told. Pure. */
export function redisFindings(facts: RedisFacts, url: string): Finding[] {
  return [
    ok("redis", "Redis answers at REDIS_URL."),
    versionFinding(facts),
    tlsFinding(url),
    evictionFinding(facts),
    roleFinding(facts),
    facts.runsScripts
      ? ok("redis scripts", "The server runs scripts.")
      : fix(
          "redis scripts",
          "The server refuses EVAL. Allow the commands EVAL, EVALSHA and SCRIPT to the user in REDIS_URL.",
        ),
    clockFinding("redis clock", "Redis", facts.clockAheadMs),
  ];
}

function unusable(error: unknown, url: string): Finding {
  // The message says what is wrong and what to do.
  if (error instanceof RedisRefusedError) return fix("redis", error.message);
  const { message, code = "" } = error as NodeJS.ErrnoException;
  const words = code || message;
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(words)) {
    return fix(
      "redis tls",
      `The certificate of Redis is not trusted (${words}). Name the file of its authority in NODE_EXTRA_CA_CERTS, and use the host name of the certificate in REDIS_URL.`,
    );
  }
  if (
    url.startsWith("rediss:") &&
    /wrong version number|ECONNRESET|EPROTO|SSL|before secure TLS|closed|no answer/i.test(`${code} ${message}`)
  ) {
    return fix(
      "redis tls",
      `Redis refused TLS (${words}). If the server has no TLS on this port, write redis:// in REDIS_URL, or name its TLS port.`,
    );
  }
  if (/Protocol error|unexpected|parse/i.test(message)) {
    return fix(
      "redis",
      `The server at REDIS_URL is not Redis (${message}). Name a Redis or Valkey server, usually on port 6379.`,
    );
  }
  return fix(
    "redis",
    `Redis cannot be reached (${words}). Start it, check host and port in REDIS_URL, and allow the connection in the firewall.`,
  );
}

function versionFinding({ kind, version, redisVersion }: RedisFacts): Finding {
  const name = `${kind} ${version ?? "of an unknown version"}`;
  if (kind !== "Redis" && kind !== "Valkey") {
    return fix(
      "redis version",
      `The server is ${name}. Sluice is tested with Redis 6.2 or later and Valkey; use one of them.`,
    );
  }
  const recent = isAtLeast(redisVersion, 6, 2);
  if (recent === undefined) return skip("redis version", `The server is ${name}; it does not tell its version.`);
  return recent
    ? ok("redis version", `The server is ${name}.`)
    : fix("redis version", `The server is ${name}. Sluice needs Redis 6.2 or later, or Valkey: upgrade it.`);
}

function tlsFinding(url: string): Finding {
  if (url.startsWith("rediss:")) return ok("redis tls", "The connection uses TLS.");
  return isLocalAddress(url)
    ? ok("redis tls", "Redis is on this machine, so it needs no TLS.")
    : note(
        "redis tls",
        "The connection is not encrypted. Unless the network is private, write rediss:// in REDIS_URL.",
      );
}

function evictionFinding({ evictionPolicy: policy }: RedisFacts): Finding {
  if (policy === undefined) {
    return skip("redis eviction", "The server does not tell its maxmemory-policy. Check that it is noeviction.");
  }
  return policy === "noeviction"
    ? ok("redis eviction", "maxmemory-policy is noeviction.")
    : fix(
        "redis eviction",
        `maxmemory-policy is ${policy}, so Redis may drop parts of the queue. Set it to noeviction: CONFIG SET maxmemory-policy noeviction, and in redis.conf or the parameter group.`,
      );
}

function roleFinding({ role, isCluster }: RedisFacts): Finding {
  if (role === "slave") {
    return fix("redis role", "The server is a replica, which takes no writes. Name the primary in REDIS_URL.");
  }
  return ok("redis role", isCluster ? "The server is a node of a cluster." : "The server is a primary.");
}
