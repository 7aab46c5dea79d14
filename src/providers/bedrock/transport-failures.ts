// Failures below Bedrock: names, connections, certificates, proxies. What matters most is whether the request can have
// been received: only then may it have been billed.
import type { Deployment } from "./advice.ts";
import type { SdkError, Verdict } from "./failures.ts";

/** Somebody on the way answered with a page for people. */
export class HtmlAnswer extends Error {
  override readonly name = "HtmlAnswer";
  readonly $metadata: { httpStatusCode: number };

  constructor(status: number) {
    super(`Something on the way answered HTTP ${status} with an HTML page.`);
    this.$metadata = { httpStatusCode: status };
  }
}

/** Undefined if the error is not one of the transport. */
export function classifyTransport(
  error: SdkError,
  status: number | undefined,
  { region, endpoint }: Deployment,
): Verdict | undefined {
  const where = endpoint ?? `Bedrock in ${region}`;
  const { code = "" } = error;
  const notSent: Verdict = { kind: "capacity", code: "model_unavailable", maybeBilled: false };

  if (error.name === "HtmlAnswer") {
    return { ...notSent, advice: `A proxy, a captive portal or a wrong endpoint answers in place of ${where}.` };
  }
  if (code === "ENOTFOUND") {
    const check = endpoint
      ? "Check the endpoint."
      : `Check that Bedrock exists in the region ${region}, and the network.`;
    return { ...notSent, kind: "misconfigured", words: `The address of ${where} is not known.`, advice: check };
  }
  if (/^(EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ENETDOWN|EADDRNOTAVAIL)$/.test(code)) {
    return { ...notSent, words: `No connection to ${where} (${code}).` };
  }
  if (error.name === "TimeoutError" && /did not establish a connection/.test(error.message ?? "")) {
    return { ...notSent, words: `No connection to ${where} in time (timeouts.connectMs).` };
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|^EPROTO$|^ERR_SSL|^ERR_TLS/.test(code)) {
    return {
      ...notSent,
      kind: "misconfigured",
      words: `No secure connection to ${where} (${code}).`,
      advice: "Check the endpoint and its certificate; NODE_EXTRA_CA_CERTS adds an authority.",
    };
  }
  if (status !== undefined && status >= 400) return undefined;
  const cut: Verdict = { kind: "transient", code: "unknown_end", maybeBilled: true };
  if (code !== "" || error.name === "TimeoutError") {
    return {
      ...cut,
      words: `The connection to ${where} was lost before the answer was complete (${code || error.name}).`,
    };
  }
  if (error.name === "SyntaxError" || /truncated event message|checksum/i.test(error.message ?? "")) {
    return { ...cut, words: `The answer of ${where} was cut off or is not one of Bedrock's.` };
  }
  return undefined;
}
