// Serves GET /v1/history: throughput, use of quotas and waiting time of the last day and month.
import Type from "typebox";
import { mostPeriods, readHistory, resolutions } from "../../jobs/history/read-history.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { historyResource, historySchema } from "../../wire/history-resource.ts";
import { time } from "../../wire/resource-types.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

export function historyRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/history",
    {
      schema: {
        tags: ["service"],
        operationId: "getHistory",
        summary: "Get throughput, quota use and waiting time over time",
        description:
          "Minutes of the last day, or hours of the last 30 days, over all tenants and processes. A minute appears " +
          "up to a minute after its end. Requires an admin key.",
        querystring: Type.Object(
          {
            resolution: Type.Optional(
              Type.Enum([...resolutions], { description: "Length of the periods. Default: minute." }),
            ),
            from: Type.Optional(
              time("Start, rounded down to a period. Default: an hour before `to`, or a day for resolution=hour."),
            ),
            to: Type.Optional(
              time(`End, rounded up to a period; at most ${mostPeriods} periods after \`from\`. Default: now.`),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: historySchema,
          ...errorResponses(["invalid_request", "forbidden", "unavailable"]),
        },
      },
    },
    async ({ query: { resolution = "minute", from, to }, caller }) => {
      requireAdmin(caller);
      const history = await readHistory(context, { resolution, from: epochMs(from), to: epochMs(to) });
      return historyResource(history);
    },
  );
}

function epochMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}
