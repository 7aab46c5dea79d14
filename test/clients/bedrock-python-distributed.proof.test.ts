// boto3 and LangChain's ChatBedrockConverse against the distributed service: two APIs and a worker.
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, inject, test, vi } from "vitest";
import { testSettings } from "../support/jobs-context.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { type StartedService, startForm } from "../support/started-service.ts";
import { expectSuites, runPython, type Simulators, startSimulators } from "./boto3.ts";

const python = inject("python");

describe.skipIf(python === null || withoutMongo() || withoutRedis())("Python", () => {
  let simulators: Simulators;
  let service: StartedService;
  beforeAll(async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
    simulators = await startSimulators();
    const settings = testSettings({ models: simulators.models, defaultModel: "nova" });
    service = await startForm("distributed", { ...settings, logLevel: "silent" });
  });
  afterAll(async () => {
    await service?.stop();
    await simulators?.stop();
    vi.unstubAllEnvs();
  });

  test(
    "calls, streams, errors, waits and returns",
    () => expectSuites((args) => runPython(python!, args, { url: service.url, simulators, home: tmpdir() })),
    120_000,
  );
});
