// What every adapter of the Scheduler port must do. It uses nothing but the port, and no time but what `advance` lets
// pass, so that an implementation in another process is held to the same words.
import { describe, onTestFinished, test } from "vitest";
import { choiceCases } from "./conformance/choice.ts";
import { controlCases } from "./conformance/control.ts";
import { fairnessCases } from "./conformance/fairness.ts";
import { heavyJobCases } from "./conformance/heavy-jobs.ts";
import { jobCases } from "./conformance/jobs.ts";
import { learningCases } from "./conformance/learning.ts";
import { leaseCases } from "./conformance/leases.ts";
import { missingModelCases } from "./conformance/missing-models.ts";
import { pauseCases } from "./conformance/pauses.ts";
import { quotaCases } from "./conformance/quotas.ts";
import { rebuildCases } from "./conformance/rebuild.ts";
import { reportCases } from "./conformance/reports.ts";
import { suspicionCases } from "./conformance/suspicion.ts";
import { type Case, Driver, type Open } from "./harness.ts";

/** @param open makes a scheduler with a clock of its own; each case opens one and cleans it up */
export function schedulerConformance(name: string, open: Open): void {
  const declare: Case = (title, config, run, options) => {
    test(title, async () => {
      const opened = await open(config);
      onTestFinished(() => opened.cleanup());
      const driver = new Driver(opened);
      if (!options?.closed) await driver.open();
      await run(driver);
    });
  };
  describe(name, () => {
    describe("jobs", () => jobCases(declare));
    describe("quotas", () => quotaCases(declare));
    describe("learning", () => learningCases(declare));
    describe("choice of deployment", () => choiceCases(declare));
    describe("missing models", () => missingModelCases(declare));
    describe("suspicion", () => suspicionCases(declare));
    describe("fair shares", () => fairnessCases(declare));
    describe("heavy jobs", () => heavyJobCases(declare));
    describe("pauses", () => pauseCases(declare));
    describe("leases", () => leaseCases(declare));
    describe("reports and configuration", () => reportCases(declare));
    describe("control", () => controlCases(declare));
    describe("rebuild", () => rebuildCases(declare));
  });
}
