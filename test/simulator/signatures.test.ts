// Signatures and keys, tested with the official SDK: what it signs with valid keys is accepted, everything else is
// refused as AWS refuses it.
import type { IncomingMessage } from "node:http";
import {
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  ConverseCommand,
  ConverseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createAuthenticator } from "../../src/simulator/aws-authentication.ts";
import { BedrockError } from "../../src/simulator/aws-errors.ts";
import type { SimulatorOptions } from "../../src/simulator/options.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { ask, collect, converseResult, failure, llama, manualClock, post, simulate } from "./support.ts";

const keys = { accessKeyId: "AKIAEXAMPLE", secretAccessKey: "a secret/key+of=AWS" };
const session = { ...keys, accessKeyId: "ASIAEXAMPLE", sessionToken: "a/token+of=theirs" };

const clients: BedrockRuntimeClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  vi.unstubAllEnvs();
});

function clientWith(simulator: Simulator, config: Partial<BedrockRuntimeClientConfig>): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: simulator.url,
    region: "eu-west-1",
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(),
    ...config,
  });
  clients.push(client);
  return client;
}

const verifying = async (options: SimulatorOptions = {}) =>
  (await simulate({ verifySignatures: [keys, session], ...options })).simulator;

const send = (client: BedrockRuntimeClient, prompt = "Hi") => client.send(new ConverseCommand(ask(prompt)));

/** Returns what the SDK throws, and checks that the journal has it as the only call. */
async function refusal(simulator: Simulator, config: Partial<BedrockRuntimeClientConfig>) {
  const error = await failure(send(clientWith(simulator, config)));
  expect(error.$metadata).toMatchObject({ httpStatusCode: 403, requestId: simulator.calls[0]!.requestId });
  expect(simulator.calls).toHaveLength(1);
  expect(simulator.calls[0]).toMatchObject({ outcome: "refused", status: 403, error: error.name, prompt: "" });
  expect(simulator.quotas()).toEqual([]);
  return error;
}

describe("accepted", () => {
  test.each([keys, session])("valid keys %#", async (credentials) => {
    const simulator = await verifying();
    const client = clientWith(simulator, { credentials });
    await send(client);
    await send(client, "Größe: 3 × 4 🙂 日本語");
    expect((await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream)).length).toBeGreaterThan(4);
    expect(simulator.calls.map(({ outcome, region }) => [outcome, region])).toEqual(
      Array(3).fill(["answered", "eu-west-1"]),
    );
  });

  test.each([
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0",
    "model (with) 'odd'* characters!~",
  ])("the path of %s", async (modelId) => {
    const simulator = await verifying({ models: { "model (with) 'odd'* characters!~": {} } });
    await clientWith(simulator, { credentials: keys }).send(new ConverseCommand(ask("Hi", 10, modelId)));
    expect(simulator.calls[0]!.outcome).toBe("answered");
  });

  test("a clock that is off by less than five minutes", async () => {
    const simulator = await verifying();
    for (const systemClockOffset of [-290_000, 290_000]) {
      await send(clientWith(simulator, { credentials: keys, systemClockOffset }));
    }
    expect(simulator.callCount).toBe(2);
  });

  test("only known bearer keys, if any are configured", async () => {
    const simulator = await verifying({ bearerKeys: ["key-of-bedrock"] });
    vi.stubEnv("AWS_BEARER_TOKEN_BEDROCK", "key-of-bedrock");
    await send(clientWith(simulator, {}));
    vi.stubEnv("AWS_BEARER_TOKEN_BEDROCK", "another-key");
    const error = await failure(send(clientWith(simulator, {})));
    expect(error).toMatchObject({ name: "AccessDeniedException", $metadata: { httpStatusCode: 403 } });
    expect(error.message).toBe("Authentication failed: Please make sure your API Key is valid.");
  });
});

describe("refused", () => {
  test("a wrong secret", async () => {
    const error = await refusal(await verifying(), { credentials: { ...keys, secretAccessKey: "another" } });
    expect(error.name).toBe("InvalidSignatureException");
    expect(error.message).toMatch(/^The request signature we calculated does not match the signature you provided\./);
  });

  test.each([
    ["an unknown access key", { ...keys, accessKeyId: "AKIAOTHER" }],
    ["a session without its token", { ...session, sessionToken: undefined }],
    ["a session with another token", { ...session, sessionToken: "another" }],
    ["a token that there is not", { ...keys, sessionToken: "a token" }],
  ])("%s", async (_, credentials) => {
    const error = await refusal(await verifying(), { credentials });
    expect(error.name).toBe("UnrecognizedClientException");
    expect(error.message).toBe("The security token included in the request is invalid.");
  });

  test("an expired session, until it is renewed", async () => {
    const simulator = await verifying();
    simulator.setCredentials({ ...session, expired: true });
    const error = await refusal(simulator, { credentials: session });
    expect(error.name).toBe("ExpiredTokenException");
    const renewed = { ...session, sessionToken: "renewed" };
    simulator.setCredentials(renewed);
    await send(clientWith(simulator, { credentials: renewed }));
  });

  test.each([
    [
      "behind",
      -600_000,
      /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/,
    ],
    ["ahead", 600_000, /^Signature not yet current: .* is still later than .* \+ 5 min\.\)$/],
  ])("a clock ten minutes %s", async (_, systemClockOffset, message) => {
    const simulator = await verifying();
    const client = clientWith(simulator, { credentials: keys, systemClockOffset });
    const error = await failure(send(client));
    expect(error.name).toBe("InvalidSignatureException");
    expect(error.message).toMatch(message);
    // The SDK takes the time from the refusal and signs the next call with it.
    await send(client);
    expect(simulator.calls.map((call) => call.outcome)).toEqual(["refused", "answered"]);
  });

  test("by the simulator's own clock", async () => {
    const clock = manualClock(Date.now() - 3_600_000);
    const error = await refusal(await verifying({ clock }), { credentials: keys });
    expect(error.message).toMatch(/^Signature not yet current/);
  });

  test.each(["body", "path", "header"] as const)("a %s that was changed after it was signed", async (part) => {
    const simulator = await verifying();
    const client = clientWith(simulator, { credentials: keys });
    client.middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { body: Uint8Array; path: string; headers: Record<string, string> };
        if (part === "body") request.body[request.body.length - 1] = 0x20;
        else if (part === "path") request.path = request.path.replace("llama3-3", "llama3-1");
        else request.headers["x-amz-user-agent"] = "changed";
        return next(args);
      },
      { step: "finalizeRequest", priority: "low" },
    );
    expect((await failure(send(client))).name).toBe("InvalidSignatureException");
  });

  test.each([
    ["AWS4-HMAC-SHA256 Credential=a", /'Signature' parameter\..*'SignedHeaders' parameter/],
    ["AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0", /5 slash-delimited elements/],
    [
      "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261122/eu-west-1/bedrock/aws4_request, SignedHeaders=host, Signature=0",
      /ISO-8601/,
    ],
  ])("the incomplete header %s", async (authorization, message) => {
    const simulator = await verifying();
    const response = await post(simulator, `/model/${llama}/converse`, "{}", { authorization });
    expect(response.status).toBe(403);
    expect(response.headers.get("x-amzn-errortype")).toMatch(/^IncompleteSignatureException:/);
    expect(((await response.json()) as { message: string }).message).toMatch(message);
  });

  test("a signature for another service", async () => {
    const simulator = await verifying();
    const authorization =
      "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261122/eu-west-1/sts/aws4_request, SignedHeaders=host, Signature=0";
    const response = await post(simulator, `/model/${llama}/converse`, "{}", { authorization });
    expect(response.status).toBe(403);
    expect(await response.json()).toEqual({ message: "Credential should be scoped to correct service: 'bedrock'." });
  });

  test("other content of the headers", () => {
    const authenticator = createAuthenticator({ verifySignatures: keys }, () => 0);
    const part = fc.constantFrom(
      "Credential=",
      "SignedHeaders=",
      "Signature=",
      "AKIAEXAMPLE/20261122/eu-west-1/bedrock/aws4_request",
      "host",
      ",",
      ";",
      "/",
      "=",
      " ",
      "",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string())), fc.string(), (parts, date) => {
        const authorization = `AWS4-HMAC-SHA256 ${parts.join("")}`;
        const request = {
          method: "POST",
          url: "/%zz/../?a=%&&=",
          headers: { authorization },
          rawHeaders: ["X-Amz-Date", date, "odd"],
        } as unknown as IncomingMessage;
        expect(() => authenticator.authenticate(request, Buffer.from("{}"), "bedrock")).toThrow(BedrockError);
      }),
      { numRuns: 500 },
    );
  });

  test("any bearer key, if signatures are verified", async () => {
    vi.stubEnv("AWS_BEARER_TOKEN_BEDROCK", "some-key");
    expect((await refusal(await verifying(), {})).name).toBe("AccessDeniedException");
  });
});

test("accounts have their own quotas", async () => {
  const simulator = await verifying({
    requestsPerMinute: 1,
    clock: { now: () => 0, wall: () => Date.now() },
    verifySignatures: [
      { ...keys, account: "111111111111" },
      { ...session, account: "222222222222" },
    ],
  });
  for (const credentials of [keys, session]) {
    const client = clientWith(simulator, { credentials });
    await send(client);
    expect((await failure(send(client))).name).toBe("ThrottlingException");
  }
  expect(simulator.quotas().map(({ account, admitted }) => [account, admitted])).toEqual([
    ["111111111111", 1],
    ["222222222222", 1],
  ]);
  expect(simulator.calls.map((call) => call.account)).toEqual([
    ...Array(2).fill("111111111111"),
    ...Array(2).fill("222222222222"),
  ]);
});

test("without the option any signature works", async () => {
  const { simulator } = await simulate();
  expect((await converseResult(simulator, ask("Hi"))).status).toBe(200);
});
