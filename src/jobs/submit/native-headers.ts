// Chooses the headers of a native request that are sent with it.

import { serviceTiers } from "../../config/model-traits.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { NativeRequest } from "../../domain/native-request.ts";

/** Headers as Node's servers have them, or as a JSON body names them. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

const tierHeader = "x-amzn-bedrock-service-tier";

/** Headers that are sent as they are. */
const sentHeaders = [
  "x-amzn-bedrock-guardrailidentifier",
  "x-amzn-bedrock-guardrailversion",
  "x-amzn-bedrock-trace",
  "x-amzn-bedrock-performanceconfig-latency",
  tierHeader,
  "x-amzn-bedrock-request-metadata",
] as const;

/** Header of Anthropic's API. Bedrock has a field of the body in its place. */
const betaHeader = "anthropic-beta";

/** All headers that a native request may have. Others are left out. */
export const nativeHeaders = [...sentHeaders, betaHeader] as const;

const maxValueLength = 8_192;

/**
 * Returns the headers that are sent as they are, by lower-case names. Leaves others out, such as credentials.
 * @throws SluiceError `invalid_request` for a value that no header can have
 */
export function sentHeadersOf(headers: RequestHeaders): Record<string, string> | undefined {
  const found = sentHeaders.flatMap((name) => {
    const value = textOf(headers, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** Returns the names in the header anthropic-beta. @throws SluiceError `invalid_request` as above */
export function betasOf(headers: RequestHeaders): string[] {
  const names = textOf(headers, betaHeader)?.split(",") ?? [];
  return names.map((name) => name.trim()).filter((name) => name !== "");
}

/** Returns the service tier that a request asks for, if its price may be known. */
export function tierOf(headers: RequestHeaders, body: object): NativeRequest["serviceTier"] {
  const { serviceTier } = body as { serviceTier?: { type?: unknown } | null };
  const requested = textOf(headers, tierHeader) ?? serviceTier?.type;
  return serviceTiers.find((tier) => tier === requested);
}

function textOf(headers: RequestHeaders, wanted: string): string | undefined {
  const entry = Object.entries(headers).find(([name, value]) => value !== undefined && name.toLowerCase() === wanted);
  if (!entry) return undefined;
  const value = String(entry[1]);
  if (value.length <= maxValueLength && /^[\x20-\x7e]*$/.test(value)) return value;
  const message = `The header ${wanted} must be at most ${maxValueLength} printable ASCII characters.`;
  throw new SluiceError("invalid_request", message, { field: wanted });
}
