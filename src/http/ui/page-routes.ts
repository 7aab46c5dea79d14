// Serves the dashboard's page below /ui, and its assets, which never change under their names.
import fastifyStatic from "@fastify/static";
import type { FastifyReply, FastifyRequest } from "fastify";
import { notFound, sendError } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { type DashboardPage, pageHeaders } from "./page.ts";
import { isPagePath } from "./page-paths.ts";

export function pageRoutes(app: HttpServer, page: DashboardPage): void {
  // The browser has no key yet when it reads the page.
  const options = { schema: { hide: true }, config: { open: true } };
  app.addHook("onRoute", (route) => {
    if (route.url.startsWith("/ui/assets/")) route.config = { ...route.config, open: true };
  });
  if (page.assets !== undefined) {
    app.register(fastifyStatic, {
      root: page.assets,
      prefix: "/ui/assets/",
      decorateReply: false,
      preCompressed: true,
      immutable: true,
      maxAge: "365d",
      index: false,
      setHeaders: (response) => {
        for (const [name, value] of Object.entries(pageHeaders)) response.setHeader(name, value);
      },
    });
  }
  app.get("/ui", options, (request, reply) => reply.redirect(page.baseOf(request)));
  app.get("/ui/", options, (request, reply) => page.send(request, reply, 200));
  app.get<{ Params: { "*": string } }>("/ui/*", options, (request, reply) =>
    page.send(request, reply, isPagePath(request.params["*"]) ? 200 : 404),
  );
  // Without this route, unknown calls of the page would get the page.
  app.all("/ui/api/*", options, (request) => {
    throw notFound(request);
  });
}

/**
 * Answers requests that reach no route, for Fastify's frameworkErrors: a browser that asks for a page whose address
 * cannot be decoded gets the page.
 */
export function sendPageOrError(page: DashboardPage | undefined) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const isOfPage = page && request.method === "GET" && /^\/ui\/(?!api\/)/.test(request.url);
    if (isOfPage) page.send(request, reply, 404);
    else sendError(error, request, reply);
  };
}
