// Refuses unknown query parameters and body fields. Otherwise `/status/{job_id}?wait=30` would silently not wait, and a
// retry with `dry_run` would run.
import type { FastifyRequest, onRequestHookHandler, RouteOptions } from "fastify";
import Type from "typebox";
import { type ErrorCode, SluiceError } from "../../domain/errors.ts";
import { bodyCheck } from "../../wire/body-check.ts";
import { isOpenAiPath } from "../../wire/openai/openai-errors.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

/** The schema of a query without parameters. */
export const noQuery = Type.Object({}, { additionalProperties: false });
const checkNone = bodyCheck(noQuery, { unknownToo: false });

/** Refuses unknown input on all routes added after this call, except on probes. */
export function refuseUnknown(app: HttpServer): void {
  app.addHook("onRoute", (route) => {
    const { url, schema } = route;
    if (!schema || schema.hide || /^\/(health|ready)z$/.test(url)) return;
    schema.querystring ??= noQuery;
    route.onRequest = [refuseBadEscapes, ...[route.onRequest ?? []].flat()];
    // Some clients send {} or null as an empty body.
    if (schema.body === undefined) route.preValidation = [refuseBody, ...[route.preValidation ?? []].flat()];
    schema.response = { ...refusals(route), ...(schema.response as object) };
  });
}

/** Refuses a query that cannot be decoded. Otherwise it would be used with its percent signs. */
const refuseBadEscapes: onRequestHookHandler = ({ raw: { url = "" } }, _reply, done) => {
  const start = url.indexOf("?");
  try {
    if (start >= 0 && url.includes("%", start)) decodeURIComponent(url.slice(start));
    done();
  } catch {
    const message = "The query is not valid: its percent-encoded bytes must be UTF-8.";
    done(new SluiceError("invalid_request", message));
  }
};

/**
 * Returns the errors that a route may return before its handler runs, by status. A body may arrive where none is
 * expected.
 */
function refusals({ url, method }: RouteOptions): object {
  const readsBody = [method].flat().some((name) => name !== "GET" && name !== "HEAD");
  const codes: ErrorCode[] = readsBody
    ? ["invalid_request", "invalid_json", "too_large", "unsupported_media_type"]
    : ["invalid_request"];
  const all = errorResponses(codes, isOpenAiPath(url) ? "OpenAIError" : "Error");
  return Object.fromEntries([400, 413, 415].flatMap((status) => (all[status] ? [[status, all[status]]] : [])));
}

async function refuseBody({ body }: FastifyRequest): Promise<void> {
  if (body !== undefined && body !== null) checkNone(body);
}
