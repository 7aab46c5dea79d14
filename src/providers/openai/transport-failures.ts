// Classifies failures below HTTP: names, connections, certificates, and servers that answer in the provider's place.
// Decides above all whether the request can have been received, because only then may it have been billed.
import type { ProviderFailure } from "../provider.ts";

const notSent = { kind: "capacity", code: "model_unavailable", maybeBilled: false } as const;
const misconfigured = { ...notSent, kind: "misconfigured" } as const;

/**
 * Classifies a transport error.
 * @param host host and port of the server
 */
export function classifyTransport(thrown: unknown, host: string): ProviderFailure {
  const { code = "", name = "", message = "" } = (thrown ?? {}) as NodeJS.ErrnoException;
  if (name === "ConnectTimeout") {
    return { ...notSent, message: `Could not connect to ${host} in time (timeouts.connectMs).` };
  }
  if (code === "ENOTFOUND") {
    return {
      ...misconfigured,
      message: `The host name of ${host} cannot be resolved. Check baseUrl, and the network.`,
    };
  }
  if (code === "ECONNREFUSED") {
    const hint = "Check that the server is running and that baseUrl is correct (Ollama: ollama serve).";
    return { ...notSent, message: `No server listens on ${host} (${code}). ${hint}` };
  }
  if (/^(EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ENETDOWN|EADDRNOTAVAIL)$/.test(code)) {
    return { ...notSent, message: `Could not connect to ${host} (${code}).` };
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|^EPROTO$|^ERR_SSL|^ERR_TLS/.test(code)) {
    const check =
      "Check baseUrl (http or https) and the certificate. NODE_EXTRA_CA_CERTS adds a certificate authority.";
    return { ...misconfigured, message: `Could not establish a secure connection to ${host} (${code}). ${check}` };
  }
  const what = code || message.slice(0, 200) || "no reason given";
  return {
    kind: "transient",
    code: "unknown_end",
    message: `The connection to ${host} was lost before the answer was complete (${what}).`,
    maybeBilled: true,
  };
}

/** Creates the failure for an HTML page from a proxy or another server. */
export function htmlAnswer(status: number, host: string): ProviderFailure {
  return {
    ...notSent,
    message:
      `The response was an HTML page with HTTP ${status}. ` +
      `A proxy, a captive portal or a wrong baseUrl answered in place of ${host}.`,
  };
}
