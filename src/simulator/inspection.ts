// Serves the journal and the quotas over HTTP on the simulator's own port, for tests in another process. Tests in the
// same process read them from the simulator object. Read-only, and no signature is required.
import type { Clock } from "../domain/clock.ts";
import { quote } from "../domain/errors.ts";
import { BedrockError } from "./aws-errors.ts";
import type { Journal } from "./journal.ts";
import type { Pools } from "./pools.ts";
import type { Service } from "./simulator-server.ts";

const prefix = "/__simulator/";

export function inspectionService(journal: Journal, pools: Pools, clock: Clock): Service {
  const time = () => ({ now: clock.now(), wall: clock.wall() });
  const pages: Record<string, (query: URLSearchParams) => object> = {
    journal(query) {
      const after = wholeNumber(query, "after") ?? 0;
      const limit = wholeNumber(query, "limit");
      return {
        ...time(),
        total: journal.total,
        calls: journal.calls.filter((call) => call.n > after).slice(0, limit),
      };
    },
    quotas() {
      const at = time();
      return { ...at, deployments: pools.report(at.now), days: pools.daily() };
    },
  };
  return ({ method, path, query }) => {
    const name = path.startsWith(prefix) ? path.slice(prefix.length) : "";
    const page = Object.hasOwn(pages, name) ? pages[name] : undefined;
    if (method !== "GET" || !page) return undefined;
    return async (exchange) => exchange.send(200, { "content-type": "application/json" }, JSON.stringify(page(query)));
  };
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new BedrockError("ValidationException", `${name} must be a whole number; got ${quote(text)}.`);
  }
  return Number(text);
}
