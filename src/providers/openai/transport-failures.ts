// Failures below HTTP: names, connections, certificates, and whoever answers in the server's place. What matters most is
// whether the request can have been received: only then may it have been billed.
import type { ProviderFailure } from "../provider.ts";

const notSent = { kind: "capacity", code: "model_unavailable", maybeBilled: false } as const;
const misconfigured = { ...notSent, kind: "misconfigured" } as const;

/** @param host host and port of the server */
export function classifyTransport(thrown: unknown, host: string): ProviderFailure {
  const { code = "", name = "", message = "" } = (thrown ?? {}) as NodeJS.ErrnoException;
  if (name === "ConnectTimeout") {
    return { ...notSent, message: `No connection to ${host} in time (timeouts.connectMs).` };
  }
  if (code === "ENOTFOUND") {
    return { ...misconfigured, message: `The address of ${host} is not known. Check baseUrl, and the network.` };
  }
  if (code === "ECONNREFUSED") {
    const hint = "Is the server running, and is baseUrl right? (Ollama: ollama serve)";
    return { ...notSent, message: `Nothing listens on ${host} (${code}). ${hint}` };
  }
  if (/^(EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ENETDOWN|EADDRNOTAVAIL)$/.test(code)) {
    return { ...notSent, message: `No connection to ${host} (${code}).` };
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|^EPROTO$|^ERR_SSL|^ERR_TLS/.test(code)) {
    const check = "Check baseUrl (http or https?) and the certificate; NODE_EXTRA_CA_CERTS adds an authority.";
    return { ...misconfigured, message: `No secure connection to ${host} (${code}). ${check}` };
  }
  const what = code || message.slice(0, 200) || "no reason given";
  return {
    kind: "transient",
    code: "unknown_end",
    message: `The connection to ${host} was lost before the answer was complete (${what}).`,
    maybeBilled: true,
  };
}

/** Somebody on the way answered with a page for people. */
export function htmlAnswer(status: number, host: string): ProviderFailure {
  return {
    ...notSent,
    message:
      `Something on the way answered HTTP ${status} with an HTML page. ` +
      `A proxy, a captive portal or a wrong baseUrl answers in place of ${host}.`,
  };
}
