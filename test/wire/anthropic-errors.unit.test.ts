// Each error of Sluice has a type that Anthropic's SDKs know, and the page lists it.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { ErrorType } from "@anthropic-ai/sdk/resources/shared";
import { describe, expect, test } from "vitest";
import { type ErrorCode, errorTable } from "../../src/domain/errors.ts";
import { anthropicErrorOf, anthropicStatusOf, isAnthropicCall } from "../../src/wire/anthropic/anthropic-errors.ts";

const codes = Object.keys(errorTable) as ErrorCode[];
const typeOf = (code: ErrorCode) => anthropicErrorOf({ code, message: "m" }, "r").error.type;

test("docs/anthropic.md has the type and the status of each error", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/anthropic.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| (.*) \|$/gm)];
  const described = rows.flatMap(([, type, status, list]) =>
    [...list!.matchAll(/`(\w+)`/g)].map(([, code]) => [code, type, Number(status)]),
  );
  expect(described.sort()).toEqual(codes.map((code) => [code, typeOf(code), anthropicStatusOf(code)]).sort());
});

test("the SDK knows each type", () => {
  // The API also has request_too_large, which the SDK's type lacks.
  const known: Record<ErrorType, true> = {
    invalid_request_error: true,
    authentication_error: true,
    billing_error: true,
    permission_error: true,
    not_found_error: true,
    rate_limit_error: true,
    timeout_error: true,
    api_error: true,
    overloaded_error: true,
    memory_precondition_failed_error: true,
    memory_path_conflict_error: true,
    conflict_error: true,
  };
  const unknown = codes.filter((code) => !Object.hasOwn(known, typeOf(code)));
  expect(unknown.map(typeOf)).toEqual(["request_too_large"]);
});

test("an error has Anthropic's form, and says how to send a key", () => {
  expect(anthropicErrorOf({ code: "unauthenticated", message: "The API key is unknown." }, "id-1")).toEqual({
    type: "error",
    error: {
      type: "authentication_error",
      message: "The API key is unknown. Anthropic's SDKs send the key in x-api-key if ANTHROPIC_API_KEY is set to it.",
    },
    request_id: "id-1",
  });
});

describe("calls of Anthropic's API", () => {
  const version = { "anthropic-version": "2023-06-01" };
  test.each<[string, Record<string, string>, boolean]>([
    ["/v1/messages", {}, true],
    ["/v1/messages?beta=true", {}, true],
    ["/v1/messages/count_tokens", {}, true],
    ["/v1/messages/batches", {}, true],
    ["/v1/messagesx", version, false],
    ["/v1/models", {}, false],
    ["/v1/models", version, true],
    ["/v1/models/a/b?limit=1", version, true],
    ["/v1/chat/completions", version, false],
  ])("%s with %j: %s", (url, headers, expected) => {
    expect(isAnthropicCall({ url, headers })).toBe(expected);
  });
});
