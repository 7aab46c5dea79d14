// Serves the dashboard's page below /ui: one HTML document for every address of the page, and its assets, which never
// change under their names.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fastifyStatic from "@fastify/static";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { HttpServer } from "../http-types.ts";
import { prefixOf } from "./base-address.ts";

const built = fileURLToPath(new URL("../../web/", import.meta.url));

/** Allows the page its own scripts, styles and calls, and nothing else. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "form-action 'self'",
  "base-uri 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const pageHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

const notBuilt = "The dashboard is not built. Run npm run build, and restart the service.\n";

/** The placeholder in the built page for the address that its links and calls are relative to. */
const basePlaceholder = '<base href="/ui/">';

/** @param publicUrl address under which browsers reach the service; undefined to follow the proxy's prefix header */
export function pageRoutes(app: HttpServer, publicUrl: string | undefined): void {
  const index = `${built}index.html`;
  const page = existsSync(index) ? readFileSync(index, "utf8") : undefined;

  // The browser has no key yet when it reads the page.
  app.addHook("onRoute", (route) => {
    if (route.url.startsWith("/ui/assets/")) route.config = { ...route.config, open: true };
  });
  app.register(fastifyStatic, {
    root: `${built}assets`,
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
  const sendPage = (request: FastifyRequest, reply: FastifyReply) => {
    reply.headers({ ...pageHeaders, "cache-control": "no-store" });
    if (page === undefined) return reply.code(404).type("text/plain; charset=utf-8").send(notBuilt);
    const base = `<base href="${prefixOf(request, publicUrl)}/ui/">`;
    return reply.type("text/html; charset=utf-8").send(page.replace(basePlaceholder, base));
  };
  const options = { schema: { hide: true }, config: { open: true } };
  app.get("/ui", options, (request, reply) => reply.redirect(`${prefixOf(request, publicUrl)}/ui/`));
  app.get("/ui/", options, sendPage);
  app.get("/ui/*", options, sendPage);
}
