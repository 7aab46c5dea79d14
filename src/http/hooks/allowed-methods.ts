// Answers 405 where a path exists but not for this method.
import { SluiceError } from "../../domain/errors.ts";
import type { HttpServer } from "../http-types.ts";

const list = new Intl.ListFormat("en-GB", { type: "disjunction" });

/** Calls `addRoutes`, then makes every added path refuse the methods that it lacks. */
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
      // Runs before the body is checked, so that a wrong content type does not hide the wrong method.
      onRequest: (request, reply, done) => {
        reply.header("allow", allow);
        done(new SluiceError("method_not_allowed", `${request.method} is not allowed; use ${choice}.`));
      },
      handler: () => {},
    });
  }
}
