// The service as the dashboard's tests need it, in either form: a model that talks slowly, one whose quota binds, and one
// that refuses some prompts. It listens on the same port after a restart.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import type { Form } from "../support/forms.ts";
import type { TestServer } from "../support/server-process.ts";
import { startMongo, startRedis } from "../support/servers.ts";
import { type SluiceProcess, startSluice } from "../support/sluice-process.ts";

const refusal = { kind: "error", status: 400, error: "ValidationException" } as const;

export class DashboardService {
  readonly url: string;
  readonly adminKey: string;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #commands: string[][];
  readonly #servers: TestServer[];
  readonly #simulators: Simulator[];
  #processes: SluiceProcess[] = [];

  private constructor(parts: {
    folder: string;
    env: NodeJS.ProcessEnv;
    commands: string[][];
    servers: TestServer[];
    simulators: Simulator[];
    port: number;
    adminKey: string;
  }) {
    this.#folder = parts.folder;
    this.#env = parts.env;
    this.#commands = parts.commands;
    this.#servers = parts.servers;
    this.#simulators = parts.simulators;
    this.url = `http://127.0.0.1:${parts.port}`;
    this.adminKey = parts.adminKey;
  }

  static async start(form: Form): Promise<DashboardService> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-dashboard-"));
    const [talking, quick] = await Promise.all([
      startSimulator({ tokensPerSecond: 40, answerTokens: 60 }),
      startSimulator({
        faults: [
          { ...refusal, message: "N".repeat(2000), promptIncludes: "refuse at length" },
          { ...refusal, message: "No.", promptIncludes: "refuse" },
        ],
      }),
    ]);
    const deployment = (endpoint: string, modelId: string, requests: number) => ({
      deployments: [
        {
          region: "us-east-1",
          modelId,
          endpoint,
          // A burst of one: calls start evenly, so that a queue drains while a test looks.
          quotas: [
            {
              unit: "requests",
              per: "minute",
              limit: requests,
              burst: requests === 60 ? 1 : 100,
              name: `${modelId.split(".")[2]} requests`,
            },
          ],
        },
      ],
    });
    await writeFile(
      join(folder, "sluice.yaml"),
      stringify({
        defaultModel: "quick",
        models: {
          quick: deployment(quick.url, "us.meta.llama3-3-70b-instruct-v1:0", 100_000),
          narrow: deployment(quick.url, "us.meta.llama3-1-70b-instruct-v1:0", 60),
          talking: deployment(talking.url, "us.meta.llama3-1-8b-instruct-v1:0", 100_000),
        },
      }),
    );
    const port = await freePort();
    const servers = form === "distributed" ? await Promise.all([startMongo(), startRedis()]) : [];
    const [mongo, redis] = servers;
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      ...(mongo && redis && { MONGODB_URL: mongo.url, REDIS_URL: redis.url }),
      SLUICE_LOG_LEVEL: "error",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
    };
    const at = ["--port", String(port)];
    const commands = form === "distributed" ? [["api", ...at], ["worker"]] : [["serve", ...at]];
    const service = new DashboardService({
      folder,
      env,
      commands,
      servers,
      simulators: [talking, quick],
      port,
      adminKey: "",
    });
    await service.startProcesses();
    const key = await service.call<{ key: string }>("POST", "/v1/keys", { name: "operator", admin: true });
    return Object.assign(service, { adminKey: key.key });
  }

  async startProcesses(): Promise<void> {
    const options = { cwd: this.#folder, env: this.#env };
    this.#processes = await Promise.all(this.#commands.map((args) => startSluice(args, options)));
  }

  /** Stops every process of the service as an operator does. */
  async stopProcesses(): Promise<void> {
    await Promise.all(
      this.#processes.map(({ child }) => {
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        return gone;
      }),
    );
    this.#processes = [];
  }

  /** Calls the API as an admin. */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.adminKey && { authorization: `Bearer ${this.adminKey}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  submit(fields: Record<string, unknown>): Promise<{ job_id: string }> {
    return this.call("POST", "/v1/jobs", { environment: "UAT", ...fields });
  }

  /** Starts a batch of one line for each prompt. */
  async uploadBatch(prompts: readonly string[]): Promise<{ id: string }> {
    const lines = prompts.map((content, i) =>
      JSON.stringify({
        custom_id: `line-${i}`,
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: "quick", messages: [{ role: "user", content }] },
      }),
    );
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new Blob([lines.join("\n")]), "batch.jsonl");
    const headers = { authorization: `Bearer ${this.adminKey}` };
    const file = await fetch(`${this.url}/v1/files`, { method: "POST", headers, body: form });
    const { id } = (await file.json()) as { id: string };
    return this.call("POST", "/v1/batches", {
      input_file_id: id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
  }

  async close(): Promise<void> {
    for (const { child } of this.#processes) child.kill("SIGKILL");
    await Promise.all([...this.#servers.map((s) => s.close()), ...this.#simulators.map((s) => s.stop())]);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
