// Serves GET /v1/quotas/advice: which quotas to raise, worked out from the history.
import Type from "typebox";
import { adviseQuotas } from "../../jobs/history/advise.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { adviceResource, adviceSchema } from "../../wire/advice-resource.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const defaultDays = 7;

export function quotaAdviceRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/quotas/advice",
    {
      schema: {
        tags: ["service"],
        operationId: "getQuotaAdvice",
        summary: "Get advice on which quotas to raise",
        description:
          "Says for each quota whether it held up work, which limit to ask the provider for, and gives the text for " +
          "AWS's form. Requires an admin key.",
        querystring: Type.Object(
          {
            days: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 30,
                description: `Days of history to read. Default: ${defaultDays}.`,
              }),
            ),
            target_wait_hours: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 24,
                description:
                  "Time within which accepted work should be done. A longer time needs a lower limit. Default: 1.",
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: adviceSchema,
          ...errorResponses(["invalid_request", "forbidden", "unavailable"]),
        },
      },
    },
    async ({ query: { days = defaultDays, target_wait_hours: targetWaitHours = 1 }, caller }) => {
      requireAdmin(caller);
      return adviceResource(await adviseQuotas(context, { days, targetWaitHours }));
    },
  );
}
