// Real servers for tests. One Redis and one server that speaks MongoDB's protocol are shared by all test files of a run
// (global-setup.ts): there each test uses names of its own. A test that wants to kill a server starts one for itself.
import { connect } from "node:net";
import { MongoClient } from "mongodb";
import { inject } from "vitest";
import { type Launch, startServer, type TestServer } from "./server-process.ts";

/** What a run has of one kind of server; null if it cannot be had, which skips the tests that need it. */
export interface Provided {
  /** The shared one. */
  url: string;
  launch: Launch;
}

declare module "vitest" {
  export interface ProvidedContext {
    redis: Provided | null;
    mongo: Provided | null;
  }
}

/** For `describe.skipIf`. */
export const withoutRedis = () => inject("redis") === null;
export const withoutMongo = () => inject("mongo") === null;

export function sharedRedisUrl(): string {
  return had("redis").url;
}

export function sharedMongoUrl(): string {
  return had("mongo").url;
}

/** @param args more arguments for the server, such as `--appendonly yes`: without any it keeps nothing over a restart */
export function startRedis(args: string[] = []): Promise<TestServer> {
  return launchRedis(had("redis").launch, args);
}

/** What it acknowledged is there after a restart. */
export function startMongo(): Promise<TestServer> {
  return launchMongo(had("mongo").launch);
}

export function launchRedis(launch: Launch, args: string[] = []): Promise<TestServer> {
  return startServer(launch, answersPing, args);
}

export function launchMongo(launch: Launch): Promise<TestServer> {
  return startServer(launch, isWritable);
}

function had(kind: "redis" | "mongo"): Provided {
  const provided = inject(kind);
  if (!provided) throw new Error(`There is no ${kind} server in this run: the test must be skipped.`);
  return provided;
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on("data", (data) => {
      resolve(data.toString().startsWith("+PONG"));
      socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(false));
  });
}

/** Makes a mongod a replica set of one: without that there are no majorities to write to. */
async function isWritable(port: number): Promise<boolean> {
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true&serverSelectionTimeoutMS=500`);
  try {
    const admin = client.db("admin");
    const hello = await admin.command({ hello: 1 });
    if (hello.isreplicaset) {
      await admin.command({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: `127.0.0.1:${port}` }] } });
    }
    return hello.isWritablePrimary === true;
  } finally {
    await client.close();
  }
}
