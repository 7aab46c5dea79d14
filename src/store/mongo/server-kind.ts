// Which server speaks MongoDB's protocol, asked once when the store is opened. What is done differently for it stands
// here and is only a matter of speed: what is read and written, and what may be relied upon, is the same for all of them.
import type { MongoClient } from "mongodb";

export interface ServerKind {
  /** As many documents as these are asked for one by one, in parallel; more with one command. */
  idsOneByOne: number;
  /** Milliseconds for which the beginning of a call may be missing on its job, in lists and counts of other processes. */
  holdStatesMs: number;
}

/** A round trip for all of them, and a look into the index for each. */
const mongodb: ServerKind = { idsOneByOne: 1, holdStatesMs: 0 };

/**
 * FerretDB 1 hands nothing down to its database but the equality of one `_id`. For every other condition it decodes the
 * whole collection, which takes 75 us for each document; looking for one `_id` takes 2 to 6 us for each. A change looks
 * twice (docs/decisions/ferretdb-scans.md).
 */
const ferretdb1: ServerKind = { idsOneByOne: 20, holdStatesMs: 5_000 };

/** @throws what the driver throws if the server does not answer */
export async function askServerKind(client: MongoClient): Promise<ServerKind> {
  const info = await client.db("admin").command({ buildInfo: 1 });
  // FerretDB 2, whose indexes serve all conditions, says `ferretdb` instead.
  return "ferretdbVersion" in info ? ferretdb1 : mongodb;
}
