// Transport errors that a test cannot cause on every machine, by the codes that Node reports.
import { expect, test } from "vitest";
import { classify } from "../../src/providers/bedrock/bedrock-failures.ts";

const sent = { begun: false, guardrail: false };
const deployment = { region: "us-east-9", modelId: "some.model" };

function thrown(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

test.each([
  ["ENOTFOUND", "misconfigured", /region us-east-9/],
  ["EAI_AGAIN", "capacity", /Bedrock in us-east-9/],
  ["ENETUNREACH", "capacity", /ENETUNREACH/],
  ["EHOSTUNREACH", "capacity", /EHOSTUNREACH/],
  ["SELF_SIGNED_CERT_IN_CHAIN", "misconfigured", /NODE_EXTRA_CA_CERTS/],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "misconfigured", /certificate/],
  ["EPROTO", "misconfigured", /endpoint/],
])("%s: nothing can have been billed", (code, kind, words) => {
  const failure = classify(thrown(code), deployment, sent);
  expect(failure).toMatchObject({ kind, maybeBilled: false });
  expect(failure.message).toMatch(words);
});

test.each(["ECONNRESET", "EPIPE", "ETIMEDOUT", "HPE_INVALID_CONSTANT"])("%s: may have been billed", (code) => {
  expect(classify(thrown(code), deployment, sent)).toMatchObject({ kind: "transient", maybeBilled: true });
});

test.each([undefined, null, "text", 5, {}, new TypeError("a bug")])("any other thrown value (%s)", (value) => {
  const failure = classify(value, deployment, sent);
  expect(failure).toMatchObject({ kind: "transient", maybeBilled: true });
  expect(failure.message).not.toBe("");
});
