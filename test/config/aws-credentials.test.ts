// What answers for each combination of credentials, configuration and address. Uses the SDK's own chain, real files,
// and a metadata service on localhost.
import { writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { temporaryFolder } from "./support.ts";

const before = { ...process.env };

beforeEach(() => {
  delete process.env.AWS_EC2_METADATA_DISABLED;
  // No server listens there, as on a machine outside EC2.
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = "http://127.0.0.1:9";
});

afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});

/** Loads under the process's own environment, because the SDK reads it. */
function load(env: Record<string, string>, yaml?: string): Promise<Settings> {
  const cwd = temporaryFolder();
  if (yaml !== undefined) writeFileSync(join(cwd, "sluice.yaml"), yaml);
  Object.assign(process.env, env);
  return loadSettings({ env: process.env, cwd });
}

async function whoAnswers(env: Record<string, string>, yaml?: string): Promise<string> {
  return load(env, yaml).then(
    (settings) => (settings.simulator ? "simulator" : "bedrock"),
    (error: Error) => error.message,
  );
}

function profile(text: string): Record<string, string> {
  const file = join(temporaryFolder(), "credentials");
  writeFileSync(file, text);
  return { AWS_SHARED_CREDENTIALS_FILE: file };
}

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const role = JSON.stringify({
  Code: "Success",
  AccessKeyId: "AKIATEST",
  SecretAccessKey: "secret",
  Token: "token",
  Expiration: "2099-01-01T00:00:00Z",
});

/** Answers like the metadata service of an EC2 instance with a role. */
const metadataService: RequestListener = (request, response) => {
  const answers: Record<string, string> = {
    "PUT /latest/api/token": "token",
    "GET /latest/meta-data/iam/security-credentials/": "a-role",
    "GET /latest/meta-data/iam/security-credentials/a-role": role,
  };
  const text = answers[`${request.method} ${request.url}`];
  response.writeHead(text ? 200 : 404).end(text);
};

const missing = "No AWS credentials were found. Sluice cannot call Bedrock without them.";

describe("without any sign of credentials", () => {
  test("nothing else configured, on loopback: the simulator answers and marks every deployment", async () => {
    const settings = await load({});
    expect(settings.simulator).toBe(true);
    const deployments = Object.values(settings.models).flatMap((m) => m.deployments);
    expect(deployments.every((d) => d.id.startsWith("simulator/us-east-1/"))).toBe(true);
    expect(deployments.flatMap((d) => d.quotas).every((q) => q.name.startsWith("simulator/"))).toBe(true);
  });

  test.each([
    { HOST: "localhost" },
    { HOST: "::1" },
    { HOST: "127.8.8.8" },
    { AWS_REGION: "us-east-1" },
    { AWS_EC2_METADATA_DISABLED: "true" },
  ])("the simulator answers with %j", async (env) => {
    expect(await whoAnswers(env as unknown as Record<string, string>)).toBe("simulator");
  });

  test.each([
    [{ HOST: "0.0.0.0" }, undefined],
    [{ HOST: "::" }, undefined],
    [{ HOST: "localhost.example.com" }, undefined],
    [{ HOST: "127.0.0.1.example.com" }, undefined],
    [{ AWS_ENDPOINT_URL: "http://127.0.0.1:9000" }, undefined],
    [{ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: "http://127.0.0.1:9000" }, undefined],
    [{ SLUICE_PROVIDER: "bedrock" }, undefined],
    [{}, "port: 8000"],
    [{}, ""],
  ])("fails with %j and the file %j", async (env, yaml) => {
    const message = await whoAnswers(env as Record<string, string>, yaml);
    expect(message).toContain(missing);
    expect(message).toContain("AWS_BEARER_TOKEN_BEDROCK");
  });

  test("the simulator never answers when MongoDB is configured", async () => {
    expect(await whoAnswers({ MONGODB_URL: "mongodb://db" })).toContain("MONGODB_URL");
  });

  test("a configured endpoint: any value works, and the error says which", async () => {
    const yaml =
      "models: { a: { deployments: [{ region: us-east-1, modelId: m, endpoint: 'http://127.0.0.1:9000' }] } }";
    expect(await whoAnswers({}, yaml)).toContain("AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local");
  });

  test("a profile file that only names a Region is no sign of credentials", async () => {
    expect(await whoAnswers(profile("[default]\nregion = us-east-1\n"))).toBe("simulator");
  });

  test("a metadata service that does not answer delays the start by at most a second", async () => {
    const url = await listen(() => {});
    expect(await whoAnswers({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url })).toBe("simulator");
  });
});

describe("with credentials", () => {
  test.each([
    { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" },
    { AWS_BEARER_TOKEN_BEDROCK: "token" },
    { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", HOST: "0.0.0.0" },
  ])("Bedrock answers with %j", async (env) => {
    expect(await whoAnswers(env as unknown as Record<string, string>)).toBe("bedrock");
  });

  test("Bedrock answers with a profile of access keys", async () => {
    const keys = "aws_access_key_id = a\naws_secret_access_key = b\n";
    expect(await whoAnswers(profile(`[default]\n${keys}`))).toBe("bedrock");
    expect(await whoAnswers({ ...profile(`[work]\n${keys}`), AWS_PROFILE: "work" })).toBe("bedrock");
  });

  test("Bedrock answers with a profile that runs a process", async () => {
    const answer = JSON.stringify({ Version: 1, AccessKeyId: "a", SecretAccessKey: "b" });
    const script = join(temporaryFolder(), "credentials.json");
    writeFileSync(script, answer);
    expect(await whoAnswers(profile(`[default]\ncredential_process = cat ${script}\n`))).toBe("bedrock");
  });

  test("Bedrock answers with the role of an EC2 instance", async () => {
    expect(await whoAnswers({ AWS_EC2_METADATA_SERVICE_ENDPOINT: await listen(metadataService) })).toBe("bedrock");
  });

  test("AWS_EC2_METADATA_DISABLED is honoured", async () => {
    const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: await listen(metadataService), AWS_EC2_METADATA_DISABLED: "true" };
    expect(await whoAnswers(env)).toBe("simulator");
  });

  test("Bedrock answers with the role of a container", async () => {
    const url = await listen((_, response) => response.end(role));
    expect(await whoAnswers({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/role` })).toBe("bedrock");
  });
});

describe("signs of credentials that cannot be loaded cause an error, not synthetic text", () => {
  test.each([
    [{ AWS_PROFILE: "missing" }, "AWS_PROFILE"],
    [{ AWS_ACCESS_KEY_ID: "a" }, "AWS_ACCESS_KEY_ID"],
    [
      { AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/r", AWS_WEB_IDENTITY_TOKEN_FILE: "/missing" },
      "AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE",
    ],
    [{ AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1:9/" }, "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
  ])("%j", async (env, sign) => {
    const message = await whoAnswers(env as Record<string, string>);
    expect(message).toContain(`Found signs of AWS credentials (${sign}), but could not load any: `);
    expect(message).toContain("SLUICE_PROVIDER=simulator");
  });

  test("a profile that is not selected", async () => {
    const message = await whoAnswers(profile("[work]\naws_access_key_id = a\naws_secret_access_key = verysecret\n"));
    expect(message).toContain("Found signs of AWS credentials (");
    expect(message).not.toContain("verysecret");
  });

  test("a process that fails", async () => {
    const message = await whoAnswers(profile("[default]\ncredential_process = false\n"));
    expect(message).toContain("but could not load any: ");
  });
});

describe("SLUICE_PROVIDER=simulator", () => {
  const SLUICE_PROVIDER = "simulator";

  test("forces the simulator, despite credentials and a file", async () => {
    const env = { SLUICE_PROVIDER, AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
    expect(await whoAnswers(env, "port: 8000")).toBe("simulator");
  });

  test("is refused on the network, and with MongoDB or an endpoint", async () => {
    expect(await whoAnswers({ SLUICE_PROVIDER, HOST: "0.0.0.0" })).toContain(
      "so HOST must be an address of this machine only; got 0.0.0.0",
    );
    expect(await whoAnswers({ SLUICE_PROVIDER, HOST: "", MONGODB_URL: "mongodb://db" })).toContain("MONGODB_URL");
    const yaml =
      "models: { a: { deployments: [{ region: us-east-1, modelId: m, endpoint: 'http://127.0.0.1:9000' }] } }";
    expect(await whoAnswers({ SLUICE_PROVIDER, MONGODB_URL: "" }, yaml)).toContain("an endpoint is configured as well");
  });
});
