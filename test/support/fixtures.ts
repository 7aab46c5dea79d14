// What most tests of the application layer and of the HTTP interface need, opened on demand and closed by itself.
//
//   store         one SQLite store for all tests of a file
//   openContext   contexts over that store; each is closed when the test ends
//   startServer   HTTP servers over that store; each is closed when the test ends
//   shareContext, shareServer   the same for `test.beforeAll`: closed when the file ends
import { test as base } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import type { Clock } from "../../src/domain/clock.ts";
import { type ServerOptions, type ServerUnderTest, startServerUnderTest } from "../http/server-under-test.ts";
import { openTestContext, openTestStore, type TestContext, type TestStore } from "./jobs-context.ts";

type OpenContext = (file?: FileSettings, clock?: Clock) => Promise<TestContext>;
type StartServer = (file?: FileSettings, options?: ServerOptions) => Promise<ServerUnderTest>;

interface Closable {
  close(): Promise<void>;
}

/** Wraps an opener so that what it opened is closed at clean-up, the latest first. */
function closing<A extends unknown[], T extends Closable>(
  onCleanup: (close: () => Promise<void>) => void,
  open: (...args: A) => Promise<T>,
): (...args: A) => Promise<T> {
  const opened: T[] = [];
  onCleanup(async () => {
    for (const thing of opened.reverse()) await thing.close();
  });
  return async (...args) => {
    const thing = await open(...args);
    opened.push(thing);
    return thing;
  };
}

const contexts =
  (store: TestStore): OpenContext =>
  (file = {}, clock) =>
    openTestContext(file, store, clock);

const servers =
  (store: TestStore): StartServer =>
  async (file = {}, options) => {
    const server = await startServerUnderTest(file, store, options);
    return {
      ...server,
      async close() {
        await closeSockets(server);
        await server.close();
      },
    };
  };

/** Closes the server's address. For `test.afterAll` where the server is shared, which closes later than that. */
export async function closeSockets({ app }: ServerUnderTest): Promise<void> {
  // A client that disconnected may have opened its next connection already, and keeps it for seconds.
  app.server.closeAllConnections();
  await app.close();
}

export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the names of fixtures from this pattern
  .extend("store", { scope: "file" }, async ({}, { onCleanup }) => {
    const store = await openTestStore();
    onCleanup(() => store.close());
    return store;
  })
  .extend("shareContext", { scope: "file" }, ({ store }, { onCleanup }) => closing(onCleanup, contexts(store)))
  .extend("shareServer", { scope: "file" }, ({ store }, { onCleanup }) => closing(onCleanup, servers(store)))
  .extend("openContext", ({ store }, { onCleanup }) => closing(onCleanup, contexts(store)))
  .extend("startServer", ({ store }, { onCleanup }) => closing(onCleanup, servers(store)));
