// Serves the documentation: /openapi.json, a page at /docs, and / with links to both.
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { onRequestHookHandler } from "fastify";
import Type, { type TSchema } from "typebox";
import type { Settings } from "../../config/settings.ts";
import { version } from "../../config/version.ts";
import { errorTable } from "../../domain/errors.ts";
import type { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { documentationTheme } from "./documentation-theme.ts";

const description = `A durable queue in front of language models that keeps within their quotas.

Once there is an API key, every call needs one, except for the probes and this description: Authorization: Bearer sk-sluice-....

Every error has the same shape and one of a fixed list of codes. Times are ISO 8601 in UTC.`;

declare module "fastify" {
  interface FastifyContextConfig {
    /** The documented 200 response, where the route's own schema does not describe it fully. */
    documented?: DocumentedAnswer;
  }
}

interface DocumentedAnswer {
  description: string;
  /** Schemas by media type. */
  content: Readonly<Record<string, { schema: TSchema }>>;
}

/**
 * Returns a route's `documented` if it has several kinds of response.
 * @param json the JSON bodies that the route may return
 * @param event the data of one event, if the route can also stream server-sent events
 */
export function answersOf(
  description: string,
  json: readonly [TSchema, ...TSchema[]],
  event?: TSchema,
): DocumentedAnswer {
  const schema = json.length === 1 ? json[0] : Type.Union([...json]);
  return {
    description,
    content: {
      "application/json": { schema },
      ...(event && { "text/event-stream": { schema: event } }),
    },
  };
}

/** Collects the routes for the documentation. Call it before the routes are added. */
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
        {
          name: "bedrock",
          description: "Amazon Bedrock's runtime API. AWS's SDKs work with the service as their endpoint.",
        },
        {
          name: "anthropic",
          description: "Anthropic's Messages API. Its clients work with the service as their base URL.",
        },
        { name: "keys", description: "Manage API keys." },
        { name: "service", description: "Inspect and control the service." },
      ],
    },
    transform: ({ schema, url, route }) => {
      const { documented, open } = route.config ?? {};
      const { 401: unauthenticated, ...others } = (schema.response ?? {}) as Record<number, ErrorResponse>;
      const response = {
        ...others,
        // A read-only key may not make the call.
        ...(route.method !== "GET" && others[403] && { 403: alsoForbidden(others[403]) }),
        ...(unauthenticated !== undefined && !open && { 401: unauthenticated }),
        ...(documented && { 200: documented }),
      };
      return { url, schema: { ...schema, response, ...(open && { security: [] }) } };
    },
    // Names components by their `$id` instead of def-0, def-1, ...
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === "string" ? $id : `def-${i}`),
    },
  });
  // Browsers send no key. The documentation shows only how to call, with the names of models and environments, and no
  // jobs.
  app.addHook("onRoute", (route) => {
    if (/^\/docs(\/|$)/.test(route.url)) route.config = { ...route.config, open: true };
  });
  app.register(swaggerUi, {
    routePrefix: "/docs",
    indexPrefix: ".",
    staticCSP: contentSecurityPolicy,
    theme: documentationTheme(() => app.hasRoute({ method: "GET", url: "/ui/" })),
    // Without the bar that carries the logo of Swagger UI.
    uiConfig: { layout: "BaseLayout", responseInterceptor: nameServer },
    // This copy is one folder deeper.
    transformSpecification: () => ({ ...describedInterface(app), servers: [{ url: ".." }] }),
    transformSpecificationClone: false,
    uiHooks: { onRequest: staysBelowPrefix },
  });
}

/**
 * Runs in the browser, which alone knows the address below which the page is served, and writes it into the document.
 * Otherwise the page would show a relative address.
 */
function nameServer(response: { url?: string; text?: string }) {
  const { url = "", text = "" } = response;
  if (!url.endsWith("/docs/json")) return response;
  const servers = [{ url: url.slice(0, -"/docs/json".length) }];
  return Object.assign(response, { text: JSON.stringify({ ...JSON.parse(text), servers }) });
}

type ErrorResponse = ReturnType<typeof errorResponses>[number];

/** Adds `forbidden` to the description of a 403 response. */
function alsoForbidden(response: ErrorResponse): ErrorResponse {
  if (response.description.includes("`forbidden`")) return response;
  return {
    ...response,
    description: `\`forbidden\`: ${errorTable.forbidden.advice}

${response.description}`,
  };
}

/**
 * Allows resources only from the service itself. It omits `upgrade-insecure-requests`, with which browsers would load
 * scripts over https on any address but loopback.
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

/** Redirects the two paths for which Swagger UI returns links from the root, which would leave a proxy's path. */
const staysBelowPrefix: onRequestHookHandler = ({ url }, reply, done) => {
  if (url.startsWith("/docs/static/index.html")) reply.redirect("../");
  else if (url.startsWith("/docs/?")) reply.redirect(`../docs${url.slice("/docs/".length)}`);
  else done();
};

/** Uses relative links, because a proxy may serve Sluice below a path. */
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

/**
 * Returns the OpenAPI document. Objects in a query are written `name[key]=value`, which the plugin cannot express for a
 * single parameter.
 */
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

/**
 * @param dashboard whether browsers are sent from / to the dashboard
 * @param publicUrl address under which browsers reach the service, if it is known
 */
export function documentationRoutes(
  app: HttpServer,
  { dashboard, publicUrl }: Pick<Settings, "dashboard" | "publicUrl">,
): void {
  app.get("/openapi.json", { schema: { hide: true }, config: { open: true } }, async () => {
    // A relative address counts from the document, because a proxy may serve Sluice below a path.
    return { ...describedInterface(app), servers: [{ url: publicUrl?.replace(/\/$/, "") ?? "." }] };
  });
  app.get("/", { schema: { hide: true }, config: { open: true } }, (request, reply) => {
    // Only browsers ask for HTML. The address is relative, because a proxy may serve Sluice below a path.
    if (dashboard && request.headers.accept?.includes("text/html")) reply.redirect("ui/");
    else reply.type("text/html; charset=utf-8").send(index);
  });
}
