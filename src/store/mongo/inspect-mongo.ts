// What a server with MongoDB's protocol tells about itself, for `sluice doctor`.
import { MongoClient } from "mongodb";

export interface MongoFacts {
  kind: "MongoDB" | "FerretDB" | "Amazon DocumentDB";
  version: string;
  /** Several members, of which a majority confirms writes; or a router in front of such members. */
  isReplicated: boolean;
  isPrimary: boolean;
  usesTls: boolean;
  /** Write concern of the address, such as `1`; undefined if it names none. */
  writeConcern: string | undefined;
  /** The server's clock minus that of this machine, in milliseconds; undefined if the server does not tell. */
  clockAheadMs: number | undefined;
}

/** @throws an Error with the driver's words, which may quote the address */
export async function inspectMongo(url: string, timeoutMs: number): Promise<MongoFacts> {
  const client = new MongoClient(url, {
    serverSelectionTimeoutMS: timeoutMs,
    connectTimeoutMS: timeoutMs,
    appName: "sluice doctor",
    readPreference: "primary",
  });
  try {
    await client.connect();
    const admin = client.db("admin");
    const build = await admin.command({ buildInfo: 1 });
    const sentAt = Date.now();
    const hello = await admin.command({ hello: 1 });
    const middle = (sentAt + Date.now()) / 2;
    const { tls, writeConcern, hosts } = client.options;
    const isFerret = "ferretdbVersion" in build || "ferretdb" in build;
    const isDocumentDb = hosts.some(({ host }) => host?.includes(".docdb."));
    const ferretVersion = build.ferretdb?.version ?? build.ferretdbVersion;
    return {
      kind: isFerret ? "FerretDB" : isDocumentDb ? "Amazon DocumentDB" : "MongoDB",
      version: String(isFerret ? ferretVersion : build.version),
      isReplicated: hello.setName !== undefined || hello.msg === "isdbgrid",
      isPrimary: hello.isWritablePrimary === true,
      usesTls: tls === true,
      writeConcern: writeConcern?.w === undefined ? undefined : String(writeConcern.w),
      clockAheadMs: hello.localTime instanceof Date ? hello.localTime.getTime() - middle : undefined,
    };
  } finally {
    await client.close();
  }
}
