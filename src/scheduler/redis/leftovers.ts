// Deletes the keys of generations that a rebuild replaced, in the background and a few at a time.
import type { Cluster } from "ioredis";
import type { Client } from "./scheduler-connection.ts";

const keysPerStep = 500;

/**
 * Deletes all keys of generations before `generation`.
 * @param prefix "{tag}:"; keys of a generation continue with its number and a colon
 */
export async function deleteGenerationsBefore(generation: number, client: Client, prefix: string): Promise<void> {
  const nodes = "nodes" in client ? (client as Cluster).nodes("master") : [client];
  for (const node of nodes) {
    let cursor = "0";
    do {
      const [next, keys] = await node.scan(cursor, "MATCH", `${escaped(prefix)}*`, "COUNT", keysPerStep);
      cursor = next;
      const old = keys.filter((key) => generationOf(key, prefix) < generation);
      if (old.length > 0) await client.unlink(...old);
    } while (cursor !== "0");
  }
}

/** Returns NaN for keys outside of generations, which is never smaller. */
function generationOf(key: string, prefix: string): number {
  return Number(/^(\d+):/.exec(key.slice(prefix.length))?.[1] ?? Number.NaN);
}

function escaped(pattern: string): string {
  return pattern.replace(/[\\*?[\]]/g, "\\$&");
}
