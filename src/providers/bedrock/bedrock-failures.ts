// Converts errors of a call to ProviderFailures. Pure. Decides by the error's name if that is enough, then by known
// wordings (see wordings.ts), then by the HTTP status.
//
// An exception inside a stream has a name but no status. An error body without a type (a proxy, a 529) has a status but
// the name "Unknown". Errors of the connection have a `code`.
import { type Classification, endSentence, permanent, refused, unclear, unknownEnd } from "../classification.ts";
import type { ProviderFailure, ThrottleKind } from "../provider.ts";
import { redact } from "../redact.ts";
import { adviceOnModel, knownCause, type Wording } from "../wordings.ts";
import { adviceFor, adviceOnAccess, type Deployment } from "./advice.ts";
import { CredentialsError } from "./bedrock-credentials.ts";
import { unknownType } from "./service-error.ts";

/** The parts of an error that are used: of a ServiceError, or of an error of the connection. */
interface CallError {
  name?: string;
  message?: string;
  code?: string;
  status?: number;
  headers?: Readonly<Record<string, string | undefined>>;
}

/** What is known about the call that failed. */
export interface Sent {
  /** Whether part of an answer was received. Then something may have been billed, whatever the error. */
  begun: boolean;
  /** Whether the request names a guardrail. Then a guardrail's refusal concerns the request itself. */
  guardrail: boolean;
}

/** Classifies what a call threw. */
export function classify(thrown: unknown, deployment: Deployment, { begun, guardrail }: Sent): ProviderFailure {
  const error = (typeof thrown === "object" && thrown !== null ? thrown : { message: String(thrown) }) as CallError;
  const classification = classifyError(error, deployment, guardrail);
  const status = statusOf(error);
  const words = classification.words ?? redact(ownWords(error, status));
  const retryAfterMs = retryAfter(error.headers?.["retry-after"]);
  const requestId = error.headers?.["x-amzn-requestid"];
  return {
    kind: classification.kind,
    code: classification.code,
    ...(classification.kind === "unclear"
      ? { message: words, advice: classification.advice }
      : { message: classification.advice ? `${endSentence(words)} ${classification.advice}` : words }),
    ...(classification.throttle ? { throttle: classification.throttle } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    maybeBilled: classification.maybeBilled || begun,
    ...(requestId ? { requestId } : {}),
  };
}

function classifyError(error: CallError, deployment: Deployment, guardrail: boolean): Classification {
  const name = error.name?.toLowerCase() ?? "";
  const message = error.message ?? "";
  if (error instanceof CredentialsError)
    return { ...refused(error.passing ? "capacity" : "misconfigured"), words: message };
  const credentials = credentialProblem(name, message);
  if (credentials) return { ...refused("misconfigured"), words: credentials.words };
  if (name === "modelnotreadyexception") return refused("capacity");
  // The connection was too slow for AWS. The model's own time limit is also a 408, but has another name.
  if (/^requesttimeout/.test(name)) return unknownEnd();
  const status = statusOf(error);
  const transport = classifyTransport(error, status, deployment);
  if (transport) return transport;
  const known = knownCause(`${name}\n${message}`, status);
  return known
    ? classifyByWords(known, status, message, deployment, guardrail)
    : classifyByStatus(status, message, deployment);
}

function classifyByWords(
  { cause, advice }: Pick<Wording, "cause" | "advice">,
  status: number | undefined,
  message: string,
  deployment: Deployment,
  guardrail: boolean,
): Classification {
  switch (cause) {
    case "too_long":
      return permanent("context_exceeded");
    case "content":
      return permanent("content_filtered");
    case "request":
      // A guardrail that the account applies to every request is not this request's fault.
      if (/guardrail/i.test(message) && !guardrail) return unclear(adviceOnAccess(status, deployment));
      return permanent("provider_rejected", adviceFor(message, deployment));
    case "account":
      return {
        ...refused("misconfigured"),
        advice:
          adviceFor(message, deployment) ??
          (advice === adviceOnModel ? adviceOnAccess(404, deployment) : (advice ?? adviceOnAccess(status, deployment))),
      };
    case "capacity":
      return refused("capacity");
    case "throttled":
      return { ...refused("throttled"), throttle: throttleKind(message) };
    case "unclear":
      return unclear(adviceOnAccess(status, deployment));
  }
}

function classifyByStatus(status: number | undefined, message: string, deployment: Deployment): Classification {
  switch (status) {
    case 400:
      return permanent("provider_rejected", adviceFor(message, deployment));
    case 401:
    case 403:
    case 404:
      return unclear(adviceOnAccess(status, deployment));
    case 408:
      return unknownEnd("The model exceeded its time limit. A lower max_tokens may help.");
    case 413:
      return permanent("provider_rejected", "The request is larger than Bedrock accepts.");
    case 424:
      return unknownEnd();
    case 429:
      return overloaded.test(message)
        ? refused("capacity")
        : { ...refused("throttled"), throttle: throttleKind(message) };
    case 502:
    case 503:
    case 529:
      return refused("capacity");
    case 504:
      return unknownEnd();
    default:
      if (status !== undefined && status >= 500) return refused("transient");
      if (status !== undefined && status >= 400) return permanent("provider_rejected");
      return unknownEnd();
  }
}

// ---------------------------------------------------------------- names and statuses

/** Status by error name, as in the service's schema, in lower case. Exceptions in a stream have no status of their own. */
const statusByName = new Map(
  Object.entries({
    throttlingexception: 429,
    toomanyrequestsexception: 429,
    servicequotaexceededexception: 429,
    serviceunavailableexception: 503,
    overloaded_error: 529,
    internalserverexception: 500,
    internalfailure: 500,
    modeltimeoutexception: 408,
    modelerrorexception: 424,
    modelstreamerrorexception: 424,
    validationexception: 400,
    accessdeniedexception: 403,
    resourcenotfoundexception: 404,
  }),
);

function statusOf(error: CallError): number | undefined {
  return statusByName.get(error.name?.toLowerCase() ?? "") ?? error.status;
}

interface CredentialProblem {
  names: RegExp;
  /** Pattern of the message, if the name alone is not enough. */
  messages?: RegExp;
  isClock: boolean;
  words: string;
}

/**
 * Credential problems and their messages. The provider's own messages are never used, because they quote the header or
 * the canonical form of the request, session token included.
 */
const credentialProblems: CredentialProblem[] = [
  {
    names: /^expiredtoken/,
    isClock: false,
    words: "The AWS credentials have expired. Renew them (for a profile with SSO, run aws sso login).",
  },
  {
    names: /^(unrecognizedclient|invalidclienttokenid|missingauthenticationtoken)/,
    isClock: false,
    words:
      "AWS does not recognize these credentials. Check the access key, the session token and the account's Region.",
  },
  {
    names: /^(requestexpired|requesttimetooskewed)/,
    isClock: true,
    words: "AWS reports that the request has expired, because this machine's clock is wrong by minutes. Set the clock.",
  },
  {
    names: /^(invalidsignature|signaturedoesnotmatch)/,
    messages: /signature (expired|not yet current)/i,
    isClock: true,
    words: "AWS refused the time of the signature, because this machine's clock is wrong by minutes. Set the clock.",
  },
  {
    names: /^(invalidsignature|signaturedoesnotmatch|incompletesignature)/,
    isClock: false,
    words: "AWS refused the signature. Check the secret access key, and that this machine's clock is correct.",
  },
  {
    names: /^(accessdenied|unknown)/,
    messages: /api key is valid/i,
    isClock: false,
    words:
      "Bedrock did not accept the API key. Check AWS_BEARER_TOKEN_BEDROCK, that the key has not expired, and that it " +
      "was created in the deployment's region.",
  },
];

/** Whether the error concerns the credentials. Then it may help to read them again. */
export function isAboutCredentials(thrown: unknown): boolean {
  const { name = "", message = "" } = (thrown ?? {}) as CallError;
  return name === "CredentialsError" || credentialProblem(name.toLowerCase(), message)?.isClock === false;
}

function credentialProblem(name: string, message: string): CredentialProblem | undefined {
  return credentialProblems.find((problem) => problem.names.test(name) && (problem.messages?.test(message) ?? true));
}

const overloaded = /overloaded/i;

function throttleKind(message: string): ThrottleKind {
  if (/per day/i.test(message)) return "tokens_per_day";
  if (/too many tokens/i.test(message)) return "tokens";
  if (/too many requests|request rate/i.test(message)) return "requests";
  return "unknown";
}

// ---------------------------------------------------------------- words

/** Returns the provider's message, or a replacement if there is none. */
function ownWords(error: CallError, status: number | undefined): string {
  const message = error.message?.trim();
  if (message) return message;
  if (error.name && error.name !== unknownType && error.name !== "Error") return `The provider answered ${error.name}.`;
  return status === undefined
    ? "The call failed without a message."
    : `The provider answered HTTP ${status} without a message.`;
}

/** Reads the form in seconds only, because Bedrock sends no dates. */
function retryAfter(header: string | undefined): number | undefined {
  const seconds = header === undefined || header.trim() === "" ? Number.NaN : Number(header);
  return seconds > 0 && Number.isFinite(seconds) ? Math.round(seconds * 1000) : undefined;
}

// The transport below Bedrock: names, connections, certificates, proxies. A request that cannot have been received was
// not billed.

/** Classifies a transport error, or returns undefined for any other error. */
function classifyTransport(
  error: CallError,
  status: number | undefined,
  { region, endpoint }: Deployment,
): Classification | undefined {
  const where = endpoint ?? `Bedrock in ${region}`;
  const { code = "" } = error;
  const notSent: Classification = { kind: "capacity", code: "model_unavailable", maybeBilled: false };

  if (error.name === "HtmlAnswer") {
    return { ...notSent, advice: `A proxy, a captive portal or a wrong endpoint answered in place of ${where}.` };
  }
  if (code === "ENOTFOUND") {
    const check = endpoint
      ? "Check the endpoint."
      : `Check the network, and that Bedrock exists in the region ${region}.`;
    return { ...notSent, kind: "misconfigured", words: `The host name of ${where} cannot be resolved.`, advice: check };
  }
  if (/^(EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ENETDOWN|EADDRNOTAVAIL)$/.test(code)) {
    return { ...notSent, words: `Could not connect to ${where} (${code}).` };
  }
  if (error.name === "TimeoutError" && /did not establish a connection/.test(error.message ?? "")) {
    return { ...notSent, words: `Could not connect to ${where} in time (timeouts.connectMs).` };
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|^EPROTO$|^ERR_SSL|^ERR_TLS/.test(code)) {
    return {
      ...notSent,
      kind: "misconfigured",
      words: `Could not establish a secure connection to ${where} (${code}).`,
      advice: "Check the endpoint and its certificate. NODE_EXTRA_CA_CERTS adds a certificate authority.",
    };
  }
  if (status !== undefined && status >= 400) return undefined;
  const cut: Classification = { kind: "transient", code: "unknown_end", maybeBilled: true };
  if (code !== "" || error.name === "TimeoutError") {
    return {
      ...cut,
      words: `The connection to ${where} was lost before the answer was complete (${code || error.name}).`,
    };
  }
  if (error.name === "SyntaxError" || error.name === "MalformedStream") {
    return { ...cut, words: `The answer of ${where} was cut off or is not in Bedrock's format.` };
  }
  return undefined;
}
