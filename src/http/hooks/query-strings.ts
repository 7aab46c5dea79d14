// Query parameters and fields of a body that a call does not have are refused: `/status/{job_id}?wait=30` would otherwise
// answer at once and nobody would know why, and a retry with `dry_run` would run.
import type { FastifyRequest, onRequestHookHandler, RouteOptions } from "fastify";
import Type from "typebox";
import { type ErrorCode, SluiceError } from "../../domain/errors.ts";
import { bodyCheck } from "../../wire/body-check.ts";
import { isOpenAiPath } from "../../wire/openai/openai-errors.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

/** The schema of a query that has no parameters. */
export const noQuery = Type.Object({}, { additionalProperties: false });
const checkNone = bodyCheck(noQuery, { unknownToo: false });

/** For the routes that are added after it. Probes may carry anything. */
export function refuseUnknown(app: HttpServer): void {
  app.addHook("onRoute", (route) => {
    const { url, schema } = route;
    if (!schema || schema.hide || /^\/(health|ready)z$/.test(url)) return;
    schema.querystring ??= noQuery;
    route.onRequest = [refuseBadEscapes, ...[route.onRequest ?? []].flat()];
    // Whatever has no schema of its own may still be sent by clients that send {} or null for nothing.
    if (schema.body === undefined) route.preValidation = [refuseBody, ...[route.preValidation ?? []].flat()];
    schema.response = { ...refusals(route), ...(schema.response as object) };
  });
}

/** A query that cannot be decoded would be read as it is written, percent signs and all. */
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

/** What any route may answer before its handler, by status; a body may come where none is expected. */
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
