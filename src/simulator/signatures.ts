// Verifies AWS Signature Version 4. The sender proves that it has the secret key by a hash over the request. The hash's
// key is derived from the secret, the day, the region and the service. Own code on node:crypto, because it judges the
// SDK's signer.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { BedrockError } from "./aws-errors.ts";

/** A request as it was sent. */
export interface SignedRequest {
  method: string;
  /** Path and query, percent-encoded. */
  url: string;
  /** Names and values alternately, as they arrived. */
  rawHeaders: readonly string[];
  body: Buffer;
}

/** The content of the header `Authorization`. */
export interface SignatureClaims {
  accessKeyId: string;
  /** Day of the signature, YYYYMMDD. */
  day: string;
  region: string;
  service: string;
  signedHeaders: string[];
  signature: string;
}

/** How much too old or too new a signature may be, in milliseconds, as with AWS. */
const toleranceMs = 5 * 60_000;

const mismatch =
  "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
  "and signing method. Consult the service documentation for details.";

/** Parses the header. @throws BedrockError if it is incomplete */
export function readAuthorization(authorization: string): SignatureClaims {
  const fields = new Map(
    authorization
      .slice(authorization.indexOf(" ") + 1)
      .split(",")
      .map((field) => [field.split("=", 1)[0]!.trim(), field.slice(field.indexOf("=") + 1).trim()] as const),
  );
  const missing = ["Credential", "Signature", "SignedHeaders"].filter((name) => !fields.get(name));
  if (missing.length > 0) {
    throw new BedrockError(
      "IncompleteSignatureException",
      `Authorization header requires ${missing.map((name) => `'${name}' parameter.`).join(" Authorization header requires ")}`,
    );
  }
  const scope = fields.get("Credential")!.split("/");
  const [accessKeyId = "", day = "", region = "", service = "", end] = scope;
  if (scope.length !== 5 || end !== "aws4_request") {
    throw new BedrockError(
      "IncompleteSignatureException",
      "Credential must have exactly 5 slash-delimited elements and end with 'aws4_request'.",
    );
  }
  const signedHeaders = fields.get("SignedHeaders")!.toLowerCase().split(";");
  return { accessKeyId, day, region, service, signedHeaders, signature: fields.get("Signature")! };
}

/**
 * Verifies a signature.
 * @param now milliseconds since the Unix epoch
 * @throws BedrockError with AWS's refusal: for a wrong service, a wrong clock, or a signature that does not match
 */
export function verifySignature(
  request: SignedRequest,
  claims: SignatureClaims,
  secretAccessKey: string,
  service: string,
  now: number,
): void {
  if (claims.service !== service) throw refused(`Credential should be scoped to correct service: '${service}'.`);
  const headers = collectHeaders(request.rawHeaders);
  const date = headers.get("x-amz-date") ?? "";
  const signedAt = parseDate(date);
  if (signedAt === undefined) {
    throw new BedrockError(
      "IncompleteSignatureException",
      "Date must be in ISO-8601 'basic format', and in the header X-Amz-Date.",
    );
  }
  if (!date.startsWith(claims.day)) {
    throw refused(`Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ${date}.`);
  }
  if (!claims.signedHeaders.includes("host")) {
    throw refused("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  if (signedAt < now - toleranceMs) {
    throw refused(
      `Signature expired: ${date} is now earlier than ${formatDate(now - toleranceMs)} (${formatDate(now)} - 5 min.)`,
    );
  }
  if (signedAt > now + toleranceMs) {
    throw refused(
      `Signature not yet current: ${date} is still later than ${formatDate(now + toleranceMs)} (${formatDate(now)} + 5 min.)`,
    );
  }
  const scope = `${claims.day}/${claims.region}/${claims.service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonicalForm(request, claims.signedHeaders, headers))].join(
    "\n",
  );
  const key = [claims.day, claims.region, claims.service, "aws4_request"].reduce(
    (previous: string | Buffer, part) => hmac(previous, part),
    `AWS4${secretAccessKey}`,
  );
  const expected = Buffer.from(hmac(key, text).toString("hex"));
  const given = Buffer.from(claims.signature);
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) throw refused(mismatch);
}

function canonicalForm({ method, url, body }: SignedRequest, signed: string[], headers: Map<string, string>): string {
  const { path, query } = splitUrl(url);
  return [
    method,
    canonicalPath(path),
    canonicalQuery(query),
    ...[...signed].sort().map((name) => `${name}:${headers.get(name) ?? ""}`),
    "",
    signed.join(";"),
    sha256(body),
  ].join("\n");
}

function splitUrl(url: string): { path: string; query: string } {
  const at = url.indexOf("?");
  return at < 0 ? { path: url, query: "" } : { path: url.slice(0, at), query: url.slice(at + 1) };
}

/**
 * Encodes the path once more than it was sent, as all services but S3 do: the `%3A` of a model's ID becomes `%253A`.
 */
function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(encode(segment));
  }
  return `/${segments.join("/")}${path.endsWith("/") && segments.length > 0 ? "/" : ""}`;
}

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
}

function collectHeaders(raw: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const value = raw[i + 1]!.trim().replace(/\s+/g, " ");
    headers.set(name, headers.has(name) ? `${headers.get(name)},${value}` : value);
  }
  return headers;
}

/** Percent-encodes all but RFC 3986's unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Parses 20261127T144500Z to milliseconds since the Unix epoch. */
function parseDate(date: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date)?.slice(1).map(Number);
  if (!parts) return undefined;
  const [year, month, day, hour, minute, second] = parts as [number, number, number, number, number, number];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function formatDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, "");
}

function refused(message: string): BedrockError {
  return new BedrockError("InvalidSignatureException", message);
}

function sha256(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}
