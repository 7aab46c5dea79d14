// The dashboard's page: one HTML document for every address of the page, with its security headers.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { FastifyReply, FastifyRequest } from "fastify";
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

export const pageHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

const notBuilt = "The dashboard is not built. Run npm run build, and restart the service.\n";

/** The placeholder in the built page for the address that its links and calls are relative to. */
const basePlaceholder = '<base href="/ui/">';

export class DashboardPage {
  /** Folder of the page's scripts and styles. Absent if the page is not built. */
  readonly assets: string | undefined;
  readonly #html: string | undefined;
  readonly #publicUrl: string | undefined;

  /**
   * @param publicUrl address under which browsers reach the service; undefined to follow the proxy's prefix header
   * @param folder that the build writes, with a slash at its end
   */
  constructor(publicUrl: string | undefined, folder = built) {
    this.#publicUrl = publicUrl;
    if (!existsSync(`${folder}index.html`)) return;
    this.#html = readFileSync(`${folder}index.html`, "utf8");
    this.assets = `${folder}assets`;
  }

  /** Returns the path of the page as the browser sees it, with a slash at its end. */
  baseOf(request: FastifyRequest): string {
    return `${prefixOf(request, this.#publicUrl)}/ui/`;
  }

  /** Sends the document. It shows by itself that an address leads to no page; `status` says so to programs. */
  send(request: FastifyRequest, reply: FastifyReply, status: 200 | 404): FastifyReply {
    reply.headers({ ...pageHeaders, "cache-control": "no-store" });
    if (this.#html === undefined) return reply.code(404).type("text/plain; charset=utf-8").send(notBuilt);
    const html = this.#html.replace(basePlaceholder, `<base href="${this.baseOf(request)}">`);
    return reply.code(status).type("text/html; charset=utf-8").send(html);
  }
}
