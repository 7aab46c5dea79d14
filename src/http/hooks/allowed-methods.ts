// Answers 405 where a path exists but not for this method.
import { SluiceError } from "../../domain/errors.ts";
import type { HttpServer } from "../http-types.ts";

const list = new Intl.ListFormat("en-GB", { type: "disjunction" });

/** Calls `addRoutes`, then gives every path that was added a refusal for each method that it does not have. */
export function refuseOtherMethods(app: HttpServer, addRoutes: () => void): void {
  const methods = new Map<string, Set<string>>();
  let adding = true;
  app.addHook("onRoute", ({ url, method }) => {
    if (!adding) return;
    const known = methods.get(url) ?? new Set();
    methods.set(url, known);
    for (const m of [method].flat()) known.add(m);
  });
  addRoutes();
  adding = false;
  for (const [url, known] of methods) {
    const allow = [...known].join(", ");
    const choice = list.format(known);
    app.route({
      url,
      method: app.supportedMethods.filter((m) => !known.has(m)),
      schema: { hide: true },
      // Before the body is looked at: a wrong content type is not what is wrong.
      onRequest: (request, reply, done) => {
        reply.header("allow", allow);
        done(new SluiceError("method_not_allowed", `${request.method} is not allowed; use ${choice}.`));
      },
      handler: () => {},
    });
  }
}
