// Each error of Sluice has an exception of AWS, and none of them makes an SDK wait for a quota or repeat in vain.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { type ErrorCode, errorTable } from "../../src/domain/errors.ts";
import { bedrockErrorOf, bedrockStatusOf, streamExceptionOf } from "../../src/wire/bedrock/bedrock-errors.ts";

const codes = Object.keys(errorTable) as ErrorCode[];
const isRepeated = (code: ErrorCode) => bedrockStatusOf(code) >= 500 || nameOf(code) === "RequestTimeoutException";
const nameOf = (code: ErrorCode) => bedrockErrorOf({ code, message: "m" }).name;

test("docs/bedrock.md has each error, and what its exception means for SDKs", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/bedrock.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+Exception)` \| (\d+) \| (.*) \| (yes|no) \|$/gm)];
  const described = rows.flatMap(([, name, status, list]) =>
    [...list!.matchAll(/`(\w+)`/g)].map(([, code]) => [code, name, Number(status)]),
  );
  const actual = codes.map((code) => [code, nameOf(code), bedrockStatusOf(code)]);
  expect(described.sort()).toEqual(actual.sort());
  const repeated = rows.filter((row) => row[4] === "yes").map(([, name]) => name);
  expect(repeated.sort()).toEqual([...new Set(codes.filter(isRepeated).map(nameOf))].sort());
});

test("no error says that the caller is throttled", () => {
  expect(codes.filter((code) => bedrockStatusOf(code) === 429)).toEqual([]);
  expect(codes.map(nameOf)).not.toContain("ThrottlingException");
});

describe("what SDKs repeat: a status from 500 on, and a request that was too slow", () => {
  test("is what may succeed when it is repeated", () => {
    expect(codes.filter(isRepeated).sort()).toEqual([
      "fate_unknown",
      "internal",
      "paused",
      "request_timeout",
      "still_waiting",
      "storage_full",
      "unavailable",
      "wait_timeout",
    ]);
  });
});

test("a caller without a valid key learns how to send one", () => {
  expect(bedrockErrorOf({ code: "unauthenticated", message: "The API key is unknown." })).toEqual({
    name: "UnrecognizedClientException",
    status: 403,
    message:
      "The API key is unknown. AWS's SDKs send the key if the environment variable AWS_SESSION_TOKEN is set to it, next to any access key.",
  });
});

test("an error within a stream has a type that both streamed operations define", () => {
  const types = new Set(codes.map(streamExceptionOf));
  expect([...types].sort()).toEqual([
    "internalServerException",
    "modelStreamErrorException",
    "serviceUnavailableException",
    "validationException",
  ]);
  expect(streamExceptionOf("provider_rejected")).toBe("validationException");
  expect(streamExceptionOf("cancelled")).toBe("modelStreamErrorException");
});
