// What every adapter of the Scheduler port must do. It uses only the port, and only `advance` lets time pass, so that
// it also applies to an adapter in another process.
import { describe, onTestFinished, test } from "vitest";
import { backlogCases } from "./conformance/backlogs.ts";
import { choiceCases } from "./conformance/choice.ts";
import { controlCases } from "./conformance/control.ts";
import { fairnessCases } from "./conformance/fairness.ts";
import { heavyJobCases } from "./conformance/heavy-jobs.ts";
import { jobCases } from "./conformance/jobs.ts";
import { lateCallCases } from "./conformance/late-calls.ts";
import { learningCases } from "./conformance/learning.ts";
import { leaseCases } from "./conformance/leases.ts";
import { missingModelCases } from "./conformance/missing-models.ts";
import { pauseCases } from "./conformance/pauses.ts";
import { quotaCases } from "./conformance/quotas.ts";
import { rebuildCases } from "./conformance/rebuild.ts";
import { reportCases } from "./conformance/reports.ts";
import { suspicionCases } from "./conformance/suspicion.ts";
import { type Case, Driver, type Open } from "./harness.ts";

/** The cases of each operation or rule. */
const groups: [name: string, cases: (declare: Case) => void][] = [
  ["jobs", jobCases],
  ["quotas", quotaCases],
  ["learning", learningCases],
  ["late calls", lateCallCases],
  ["choice of deployment", choiceCases],
  ["missing models", missingModelCases],
  ["suspicion", suspicionCases],
  ["fair shares", fairnessCases],
  ["heavy jobs", heavyJobCases],
  ["pauses", pauseCases],
  ["leases", leaseCases],
  ["reports and configuration", reportCases],
  ["backlogs", backlogCases],
  ["control", controlCases],
  ["rebuild", rebuildCases],
];

/**
 * Declares the whole conformance suite.
 * @param open creates a scheduler with its own clock; each case opens one and cleans it up
 */
export function schedulerConformance(name: string, open: Open): void {
  describe(name, () => {
    for (const [group, cases] of groups) describe(group, () => cases(declareWith(open)));
  });
}

/** Declares one case of each group: enough to see quickly whether an adapter works at all. */
export function schedulerOperations(name: string, open: Open): void {
  describe(name, () => {
    for (const [group, cases] of groups) {
      describe(group, () => {
        let declared = false;
        const declare = declareWith(open);
        cases((...args) => {
          if (!declared) declare(...args);
          declared = true;
        });
      });
    }
  });
}

function declareWith(open: Open): Case {
  return (title, config, run, options) => {
    test(title, async () => {
      const opened = await open(config);
      onTestFinished(() => opened.cleanup());
      const driver = new Driver(opened);
      if (!options?.closed) await driver.open();
      await run(driver);
    });
  };
}
