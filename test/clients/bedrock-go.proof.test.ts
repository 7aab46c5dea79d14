// The AWS SDK for Go against both forms of the service, with an API key in its session token. The program is compiled from
// the folder go.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import type { Form } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

const program = inject("goClients");
const withoutServers = withoutMongo() || withoutRedis();
const timeoutMs = 60_000;

describe.skipIf(program === null).each<Form>(["embedded", "distributed"])("Go, %s", (form) => {
  describe.skipIf(form === "distributed" && withoutServers)("the AWS SDK", () => {
    let folder: string;
    let simulators: Simulator[];
    let service: StartedService;
    let key: string;
    beforeAll(async () => {
      // What the service calls Bedrock with.
      vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
      vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
      // The SDK gives up three times within 6 s, whatever its random delays.
      simulators = await Promise.all([0, 2_500, 6_500].map((latencyMs) => startSimulator({ latencyMs })));
      const [quick, slow, slower] = simulators as [Simulator, Simulator, Simulator];
      const served = (modelId: string, { url: endpoint }: Simulator, fields = {}) => ({
        deployments: [{ region: "us-east-1", modelId, endpoint, ...fields }],
      });
      const models = {
        nova: served("us.amazon.nova-lite-v1:0", quick),
        "llama-8b": served("us.meta.llama3-1-8b-instruct-v1:0", quick),
        // One call at a time, so that the second one waits in the queue.
        slow: served("us.meta.llama3-3-70b-instruct-v1:0", slow, { maxConcurrency: 1 }),
        slower: served("us.amazon.nova-micro-v1:0", slower),
      };
      folder = await mkdtemp(join(tmpdir(), "sluice-go-"));
      const settings = testSettings({ models, defaultModel: "nova" });
      service = await startForm(form, { ...settings, logLevel: "silent" });
      const created = await fetch(`${service.url}/v1/keys`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "go", admin: true }),
      });
      ({ key } = (await created.json()) as { key: string });
    }, timeoutMs);
    afterAll(async () => {
      await service?.stop();
      await Promise.all(simulators.map((simulator) => simulator.stop()));
      await rm(folder, { recursive: true, force: true });
      vi.unstubAllEnvs();
    });

    test(
      "calls, streams, errors, waits and returns",
      async () => {
        const env = {
          HOME: folder,
          AWS_ENDPOINT_URL_BEDROCK_RUNTIME: service.url,
          AWS_ACCESS_KEY_ID: "any",
          AWS_SECRET_ACCESS_KEY: "any",
          AWS_SESSION_TOKEN: key,
          AWS_REGION: "us-east-1",
          SIMULATOR_URLS: simulators.map(({ url }) => url).join(" "),
        };
        const args = ["-test.v", "-test.timeout=50s"];
        const { stdout } = await promisify(execFile)(program!, args, { cwd: folder, env }).catch((error) => error);
        expect(stdout.match(/^--- PASS: /gm)).toHaveLength(10);
        expect(stdout).toMatch(/^PASS$/m);
      },
      timeoutMs,
    );
  });
});
