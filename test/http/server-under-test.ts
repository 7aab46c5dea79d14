// The HTTP interface over a whole test context, and the few requests that every test makes.
import type { InjectOptions } from "fastify";
import type { FileSettings } from "../../src/config/config-schema.ts";
import type { Settings } from "../../src/config/settings.ts";
import type { Clock } from "../../src/domain/clock.ts";
import type { HttpServer } from "../../src/http/http-types.ts";
import { createHttpServer, type HttpOptions } from "../../src/http/server.ts";
import { WaitingCallers } from "../../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../../src/jobs/control/pause-watch.ts";
import { type KeyRegistry, openKeyRegistry, type RegistryOptions } from "../../src/jobs/keys/key-registry.ts";
import { Limits } from "../../src/jobs/limits/limits.ts";
import { openTestContext, type TestContext, type TestStore } from "../support/jobs-context.ts";

export interface ServerUnderTest {
  context: TestContext & { keys: KeyRegistry; limits: Limits; callers: WaitingCallers; pauses: PauseWatch };
  app: HttpServer;
  /** Sends JSON, or a text or bytes as they are. */
  post(url: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Sends JSON with this key. */
  as(key: string): { get(url: string): Promise<Answer>; post(url: string, body?: unknown): Promise<Answer> };
  get(url: string, headers?: Record<string, string>): Promise<Answer>;
  /** Submits a job and answers with its id. */
  enqueue(fields?: Record<string, unknown>): Promise<string>;
  close(): Promise<void>;
}

export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  body: any;
}

export interface ServerOptions extends HttpOptions {
  clock?: Clock;
  keys?: RegistryOptions;
  /** Replaces settings of the file. */
  settings?: Partial<Settings>;
}

export async function startServerUnderTest(
  file: FileSettings = {},
  shared?: TestStore,
  { clock, keys: keyOptions, settings = {}, ...options }: ServerOptions = {},
): Promise<ServerUnderTest> {
  const opened = await openTestContext(file, shared, clock);
  Object.assign(opened.settings, settings);
  const keys = await openKeyRegistry(opened, keyOptions);
  const limits = new Limits({ ...opened, keys });
  const context = Object.assign(opened, {
    keys,
    limits,
    callers: new WaitingCallers({ ...opened, limits }),
    pauses: new PauseWatch(opened),
    scrape: async () => "# metrics\n",
  });
  const app = createHttpServer(context, options);
  await app.ready();

  async function send(options: InjectOptions): Promise<Answer> {
    const { statusCode, headers, body: text } = await app.inject(options);
    const isJson = String(headers["content-type"]).startsWith("application/json");
    return { status: statusCode, headers, text, body: isJson && text !== "" ? JSON.parse(text) : undefined };
  }
  const post: ServerUnderTest["post"] = (url, body, headers = { "content-type": "application/json" }) =>
    send({
      method: "POST",
      url,
      ...(body === undefined
        ? {}
        : { headers, payload: typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
    });

  return {
    context,
    app,
    post,
    as(key) {
      const headers = { authorization: `Bearer ${key}` };
      return {
        get: (url) => send({ method: "GET", url, headers }),
        post: (url, body) =>
          send({ method: "POST", url, headers, ...(body === undefined ? {} : { payload: body as object }) }),
      };
    },
    get: (url, headers = {}) => send({ method: "GET", url, headers }),
    async enqueue(fields = {}) {
      const { status, text, body } = await post("/enqueue", { prompt: "Hello?", environment: "UAT", ...fields });
      if (status !== 200) throw new Error(`the job was refused: ${text}`);
      return body.job_id;
    },
    async close() {
      await app.close();
      await keys.close();
      await context.close();
    },
  };
}
