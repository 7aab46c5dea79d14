// Which credentials a deployment is called with, and the messages when they, the clock or the address are wrong. Over
// real sockets, with the real SDK's credentials.
import dns from "node:dns";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import type { Account } from "../../src/providers/bedrock/bedrock-credentials.ts";
import type { SimulatedAccount } from "../../src/simulator/simulated-account.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import {
  ask,
  type FakeBedrock,
  failureOf,
  json,
  providerFor,
  startFakeBedrock,
  stream,
  wholeAnswer,
} from "./fake-bedrock.ts";

let fake: FakeBedrock;
let files: string;
/** Access keys of the answered calls. */
let signed: IncomingHttpHeaders[];
beforeAll(async () => {
  fake = await startFakeBedrock();
});
afterAll(() => fake.close());
beforeEach(() => {
  files = mkdtempSync(join(tmpdir(), "sluice-aws-"));
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", join(files, "credentials"));
  vi.stubEnv("AWS_CONFIG_FILE", join(files, "config"));
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  signed = [];
  fake.respond((res, req) => {
    signed.push(req.headers);
    stream(wholeAnswer)(res, req);
  });
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(files, { recursive: true, force: true });
});

function writeProfile(name: string, accessKeyId: string): void {
  writeFileSync(
    join(files, "credentials"),
    `[${name}]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = secret\n`,
  );
}

function providerOf(account: Account | undefined, endpoint = fake.url) {
  const provider = providerFor(endpoint, { ...(account && { account }), credentials: undefined });
  onTestFinished(() => provider.close());
  return provider;
}

const keyOf = (headers: IncomingHttpHeaders | undefined) =>
  /Credential=([^/]+)/.exec(headers?.authorization ?? "")?.[1];

async function startTokenService(account: SimulatedAccount) {
  const simulator = await startSimulator({ account });
  onTestFinished(() => simulator.stop());
  vi.stubEnv("AWS_ENDPOINT_URL_STS", simulator.url);
}

const role = (name: string) => `arn:aws:iam::123456789012:role/${name}`;
const refused = (status: number, type: string, message: string) =>
  json(status, { message }, { "x-amzn-errortype": type });

// ---------------------------------------------------------------- whose credentials

test("a profile signs, even if the process has an API key", async () => {
  writeProfile("research", "AKIARESEARCH");
  vi.stubEnv("AWS_BEARER_TOKEN_BEDROCK", "key-of-another-account");
  await ask(providerOf({ profile: "research" }));
  expect(keyOf(signed[0])).toBe("AKIARESEARCH");
  await ask(providerOf(undefined));
  expect(signed[1]!.authorization).toBe("Bearer key-of-another-account");
});

test("a role is assumed once and signs with its session; each role with its own", async () => {
  writeProfile("base", "AKIABASE");
  await startTokenService({ roles: { [role("one")]: { externalId: "ours" }, [role("two")]: {} } });
  const one = providerOf({ profile: "base", roleArn: role("one"), externalId: "ours" });
  await ask(one);
  await ask(one);
  await ask(providerOf({ profile: "base", roleArn: role("two") }));
  const [first, second, other] = signed.map(keyOf);
  expect(first).toMatch(/^ASIA/);
  expect(second).toBe(first);
  expect(other).toMatch(/^ASIA/);
  expect(other).not.toBe(first);
  expect(signed[0]!["x-amz-security-token"]).toBeTruthy();
});

test("without a profile the role is assumed with the credentials of the process", async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIAPROCESS");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  await startTokenService({});
  await ask(providerOf({ roleArn: role("one") }));
  expect(keyOf(signed[0])).toMatch(/^ASIA/);
});

// ---------------------------------------------------------------- what is said when they are wrong

const misconfigured = { kind: "misconfigured", maybeBilled: false, code: "model_unavailable" };

test("no credentials at all", async () => {
  expect(await failureOf(ask(providerOf(undefined)))).toMatchObject({
    ...misconfigured,
    message: expect.stringMatching(
      /^No AWS credentials were found\. Set AWS_ACCESS_KEY_ID .* or AWS_BEARER_TOKEN_BEDROCK\.$/,
    ),
  });
  expect(signed).toEqual([]);
});

test("a profile that does not exist", async () => {
  expect(await failureOf(ask(providerOf({ profile: "reserach" })))).toMatchObject({
    ...misconfigured,
    message: expect.stringMatching(
      /^The AWS profile "reserach" provides no credentials \(.*\)\. Check .* aws sso login --profile reserach$/,
    ),
  });
});

test("a role that cannot be assumed", async () => {
  writeProfile("base", "AKIABASE");
  await startTokenService({ roles: { [role("one")]: { externalId: "ours" } } });
  const failure = await failureOf(ask(providerOf({ profile: "base", roleArn: role("one"), externalId: "theirs" })));
  expect(failure).toMatchObject({
    ...misconfigured,
    message: expect.stringMatching(
      /^The role \S+role\/one cannot be assumed \(AccessDenied: .*not authorized.*\)\. Allow the credentials to call sts:AssumeRole on it/,
    ),
  });
});

test("a token service that is unreachable now may be reachable later", async () => {
  writeProfile("base", "AKIABASE");
  vi.stubEnv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
  expect(await failureOf(ask(providerOf({ profile: "base", roleArn: role("one") })))).toMatchObject({
    kind: "capacity",
    maybeBilled: false,
    message: expect.stringContaining("ECONNREFUSED"),
  });
});

test("expired credentials: renewed ones are found without a restart", async () => {
  writeProfile("research", "AKIAOLD");
  const provider = providerOf({ profile: "research" });
  fake.respond(refused(403, "ExpiredTokenException", "The security token included in the request is expired"));
  expect(await failureOf(ask(provider))).toMatchObject({
    ...misconfigured,
    message: "The AWS credentials have expired. Renew them (for a profile with SSO, run aws sso login).",
  });
  writeProfile("research", "AKIANEW");
  fake.respond((res, req) => {
    signed.push(req.headers);
    stream(wholeAnswer)(res, req);
  });
  await ask(provider);
  expect(keyOf(signed[0])).toBe("AKIANEW");
});

test.each([
  [
    "InvalidSignatureException",
    "Signature expired: 20261127T120000Z is now earlier than 20261127T120500Z (20261127T121000Z - 5 min.)",
  ],
  ["InvalidSignatureException", "Signature not yet current: 20261127T120000Z is still later than 20261127T115500Z"],
  ["RequestExpired", "Request has expired."],
  ["RequestTimeTooSkewed", ""],
])("a clock 10 minutes off (%s): %s", async (type, message) => {
  writeProfile("research", "AKIARESEARCH");
  const provider = providerOf({ profile: "research" });
  const date = new Date(Date.now() + 600_000);
  fake.respond((res) =>
    res
      .writeHead(403, { "content-type": "application/json", "x-amzn-errortype": type, date: date.toUTCString() })
      .end(JSON.stringify({ message })),
  );
  expect(await failureOf(ask(provider))).toMatchObject({
    ...misconfigured,
    message: expect.stringMatching(/this machine's clock is wrong by minutes\. Set the clock\.$/),
  });
  // The difference is known now: the next try is signed with AWS's time.
  fake.respond((res, req) => {
    signed.push(req.headers);
    stream(wholeAnswer)(res, req);
  });
  await ask(provider);
  const [, day, time] = /^(\d{8})T(\d{6})Z$/.exec(String(signed[0]!["x-amz-date"]))!;
  const iso = `${day!.replace(/(....)(..)(..)/, "$1-$2-$3")}T${time!.replace(/(..)(..)(..)/, "$1:$2:$3")}Z`;
  expect(Math.abs(Date.parse(iso) - date.getTime())).toBeLessThan(60_000);
});

test("a region that does not exist", async () => {
  writeProfile("research", "AKIARESEARCH");
  vi.spyOn(dns, "lookup").mockImplementation(((name: string, _: unknown, done: (error: Error) => void) =>
    done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: "ENOTFOUND" }))) as never);
  onTestFinished(() => void vi.restoreAllMocks());
  const provider = providerFor("", {
    region: "us-east-9",
    endpoint: undefined,
    credentials: undefined,
    account: { profile: "research" },
  });
  onTestFinished(() => provider.close());
  expect(await failureOf(ask(provider))).toMatchObject({
    ...misconfigured,
    message:
      "The host name of Bedrock in us-east-9 cannot be resolved. Check the network, and that Bedrock exists in the region us-east-9.",
  });
});
