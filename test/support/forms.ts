// Suites that hold for both forms of the service are in files named `*.forms.test.ts`. The service tests run them embedded,
// the proofs run them distributed.
import { describe, inject } from "vitest";
import { withoutMongo, withoutRedis } from "./servers.ts";

export type Form = "embedded" | "distributed";

declare module "vitest" {
  export interface ProvidedContext {
    form: Form;
  }
}

/** Declares a suite for the form that the running project covers. It is skipped where that form's servers are missing. */
export function describeForm(suite: (form: Form) => void, name = (form: Form): string => form): void {
  const form = inject("form");
  const skipped = form === "distributed" && (withoutMongo() || withoutRedis());
  describe.skipIf(skipped)(name(form), () => suite(form));
}
