// The interface's own description: /openapi.json, a browsable page at /docs, and / that points to both.
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { onRequestHookHandler } from "fastify";
import Type, { type TSchema } from "typebox";
import { version } from "../../config/version.ts";
import type { HttpServer } from "../http-types.ts";

const description = `A durable queue in front of language models that keeps within their quotas.

Once there is an API key, every call needs one, except for the probes and this description: Authorization: Bearer sk-sluice-....

Every error has the same shape and one of a fixed list of codes. Times are ISO 8601 in UTC.`;

declare module "fastify" {
  interface FastifyContextConfig {
    /** What the description says of a 200, where the schema that it is written by does not tell all. */
    documented?: ReturnType<typeof answersOf>;
  }
}

/**
 * The several answers of one route, for its `documented`.
 * @param json any of them, by what was asked
 * @param event the data of one event, where the answer may come as server-sent events as well
 */
export function answersOf(description: string, json: readonly [TSchema, ...TSchema[]], event?: TSchema) {
  const schema = json.length === 1 ? json[0] : Type.Union([...json]);
  return {
    description,
    content: {
      "application/json": { schema },
      ...(event && { "text/event-stream": { schema: event } }),
    },
  };
}

/** Must be called before the routes are added: it collects them. */
export function collectDocumentation(app: HttpServer): void {
  app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Sluice", version, description, license: { name: "MIT", identifier: "MIT" } },
      components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
      security: [{ key: [] }],
      tags: [
        { name: "jobs", description: "Submit prompts and read answers." },
        { name: "openai", description: "OpenAI's API. Its clients work with /v1 as their base URL." },
        { name: "keys", description: "Manage API keys." },
        { name: "service", description: "Inspect and control the service." },
      ],
    },
    transform: ({ schema, url, route }) => {
      const { documented, open } = route.config ?? {};
      const { 401: unauthenticated, ...others } = (schema.response ?? {}) as Record<number, unknown>;
      const response = {
        ...others,
        ...(unauthenticated !== undefined && !open && { 401: unauthenticated }),
        ...(documented && { 200: documented }),
      };
      return { url, schema: { ...schema, response, ...(open && { security: [] }) } };
    },
    // Components under their own names instead of def-0, def-1, ...
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === "string" ? $id : `def-${i}`),
    },
  });
  // A browser sends no key. What is shown is how to call, with the names of models and environments, and no job.
  app.addHook("onRoute", (route) => {
    if (/^\/docs(\/|$)/.test(route.url)) route.config = { ...route.config, open: true };
  });
  app.register(swaggerUi, {
    routePrefix: "/docs",
    indexPrefix: ".",
    staticCSP: contentSecurityPolicy,
    // This copy is served one folder deeper.
    transformSpecification: () => ({ ...describedInterface(app), servers: [{ url: ".." }] }),
    transformSpecificationClone: false,
    uiHooks: { onRequest: staysBelowPrefix },
  });
}

/**
 * Everything comes from the service itself. It does not ask for `upgrade-insecure-requests`: on any address but loopback
 * a browser would then load scripts by https, which the service does not speak.
 */
const contentSecurityPolicy = {
  "default-src": ["'self'"],
  "base-uri": ["'self'"],
  "font-src": ["'self'", "data:"],
  "frame-ancestors": ["'self'"],
  "img-src": ["'self'", "data:"],
  "object-src": ["'none'"],
  "script-src": ["'self'"],
  "script-src-attr": ["'none'"],
  "style-src": ["'self'"],
};

/** Swagger UI answers these two with paths that begin at the root. */
const staysBelowPrefix: onRequestHookHandler = ({ url }, reply, done) => {
  if (url.startsWith("/docs/static/index.html")) reply.redirect("../");
  else if (url.startsWith("/docs/?")) reply.redirect(`../docs${url.slice("/docs/".length)}`);
  else done();
};

/** Its links are relative: a proxy may put the service under a path of its own. */
const index = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sluice</title>
<h1>Sluice ${version}</h1>
<ul>
<li><a href="docs">How to call it</a> (<a href="openapi.json">OpenAPI</a>)</li>
<li><a href="v1/jobs">Jobs</a></li>
<li><a href="v1/deployments">Models, deployments and quotas</a></li>
<li><a href="v1/stats">Counts</a></li>
<li><a href="readyz">Readiness</a></li>
</ul>
</html>
`;

interface QueryParameter {
  in?: string;
  schema?: { type?: string };
}

/** An object in a query is written as `name[key]=value`, which the plugin has no way to say of one parameter. */
function describedInterface(app: HttpServer): { paths?: object } {
  const description: { paths?: object } = app.swagger();
  for (const path of Object.values(description.paths ?? {})) {
    for (const { parameters = [] } of Object.values(path as object) as { parameters?: QueryParameter[] }[]) {
      for (const parameter of parameters) {
        if (parameter.in !== "query" || parameter.schema?.type !== "object") continue;
        Object.assign(parameter, { style: "deepObject", explode: true });
      }
    }
  }
  return description;
}

export function documentationRoutes(app: HttpServer): void {
  app.get("/openapi.json", { schema: { hide: true }, config: { open: true } }, async () => {
    // Relative to the document, so that a proxy may put the service under a path of its own.
    return { ...describedInterface(app), servers: [{ url: "." }] };
  });
  app.get("/", { schema: { hide: true }, config: { open: true } }, (_request, reply) => {
    reply.type("text/html; charset=utf-8").send(index);
  });
}
