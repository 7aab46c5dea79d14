// No command prints a secret that is in its settings or its arguments, whatever is wrong with them.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { closedAddress, run } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-secrets-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Nothing is called with them. */
const simulatorCredentials = { AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" };
const port = Number(new URL(await closedAddress()).port);
const mongo = `mongodb://u:hunter2@127.0.0.1:${port}/?serverSelectionTimeoutMS=200`;
const config = join(folder, "wrong.yaml");
writeFileSync(
  config,
  'models: { m: { deployments: [{ provider: openai, modelId: x, baseUrl: "http://u:hunter2@h } ] } }',
);

test.each<[string, string[], Record<string, string>, RegExp]>([
  [
    "REDIS_URL",
    ["serve"],
    { REDIS_URL: "redis://u:hunter2/@127.0.0.1:6379", MONGODB_URL: mongo },
    /^REDIS_URL is not a valid address: .* Got redis:\/\/\*\*\*@127\.0\.0\.1:6379\.\n$/,
  ],
  [
    "MONGODB_URL",
    ["api"],
    { MONGODB_URL: "mongodb://u:hunter2#@h", REDIS_URL: "redis://h" },
    /^MONGODB_URL is not a valid address: it contains a #\./,
  ],
  [
    "an unreachable MongoDB",
    ["worker"],
    { MONGODB_URL: mongo, REDIS_URL: "redis://:hunter2@h" },
    /^MongoDB cannot be used/,
  ],
  [
    "an option of MongoDB",
    ["serve"],
    { MONGODB_URL: "mongodb://h/?tlsCertificateKeyFilePassword=hunter2&authMechanism=WRONG", REDIS_URL: "redis://h" },
    /^MongoDB cannot be used/,
  ],
  ["a file", ["serve", "--config", config], {}, /is not valid YAML/],
  [
    "import-queue",
    ["import-queue", "--environment", "UAT", "--redis", "redis://u:hunter2%@h"],
    {},
    /^--redis is not a valid/,
  ],
  [
    "a flag",
    ["import-queue", "--redis", "redis://h", "--environment", "UAT", "--redsi=redis://u:hunter2@h"],
    {},
    /unknown option/,
  ],
  ["SLUICE_URL", ["status", "x"], { SLUICE_URL: "http://u:hunter2@127.0.0.1:1" }, /^The address of the service/],
  ["SLUICE_API_KEY", ["status", "x"], { SLUICE_API_KEY: "hunter2 hunter2" }, /^SLUICE_API_KEY is not an API key/],
])("E1: a wrong %s is said in a sentence without its secret", async (_what, args, env, sentence) => {
  const { code, stdout, stderr } = await run(args, { cwd: folder, env: { ...simulatorCredentials, ...env } });
  expect(stderr).toMatch(sentence);
  expect(stdout + stderr).not.toMatch(/hunter2|\n\s+at /);
  expect(code).toBeGreaterThan(0);
});

test("E1: --help does not print the password of SLUICE_URL", async () => {
  const { stdout } = await run(["status", "--help"], { env: { SLUICE_URL: "http://u:hunter2@example.com:8000" } });
  expect(stdout).toContain("http://***@example.com:8000");
  expect(stdout).not.toContain("hunter2");
});
