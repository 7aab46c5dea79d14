// Serves GET /metrics for Prometheus and programs like it.
import Type from "typebox";
import { contentTypes, type TextFormat } from "../../telemetry/registry.ts";
import { errorResponses } from "../error-responses.ts";
import { type MetricsAccess, requireMetricsAccess } from "../hooks/metrics-access.ts";
import type { HttpServer } from "../http-types.ts";

/** Returns all metrics of this process as text. */
export type Scrape = (format: TextFormat) => Promise<string>;

const mediaType = "application/openmetrics-text";

export function metricsRoutes(app: HttpServer, scrape: Scrape, access: MetricsAccess): void {
  const text = { schema: Type.String() };
  app.get(
    "/metrics",
    {
      config: { checksCallers: true },
      onRequest: requireMetricsAccess(access),
      schema: {
        tags: ["service"],
        operationId: "getMetrics",
        summary: "Get the metrics of this process for Prometheus",
        // A scrape configuration may add parameters. They change nothing.
        querystring: Type.Object({}),
        response: {
          200: { content: { "text/plain": text, [mediaType]: text } },
          ...errorResponses(["forbidden"]),
        },
      },
    },
    async ({ headers }, reply) => {
      const format = formatFor(headers.accept);
      const body = await scrape(format);
      return reply.type(contentTypes[format]).header("vary", "accept").serializer(String).send(body);
    },
  );
}

/** Returns OpenMetrics if the Accept header prefers it to text/plain. Only version 1.0 of it is known. */
export function formatFor(accept: string | undefined): TextFormat {
  let [openmetrics, plain] = [0, 0];
  for (const part of (accept ?? "").split(",")) {
    const [type = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    const of = (name: string) => parameters.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);
    const weight = Number(of("q") ?? 1) || 0;
    const version = of("version")?.replaceAll('"', "") ?? "1.0.0";
    if (type === mediaType && version === "1.0.0") openmetrics = Math.max(openmetrics, weight);
    else if (type === "text/plain" || type === "text/*") plain = Math.max(plain, weight);
  }
  return openmetrics > 0 && openmetrics >= plain ? "openmetrics" : "prometheus";
}
