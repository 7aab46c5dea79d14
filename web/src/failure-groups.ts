// Failed jobs by error. Pure.
import type { JobSummary } from "./resources.ts";

export interface FailureGroup {
  code: string;
  jobs: number;
  example: JobSummary;
}

/** Returns the groups in the order in which their first jobs come. */
export function failureGroups(jobs: readonly JobSummary[]): FailureGroup[] {
  const groups = new Map<string, FailureGroup>();
  for (const job of jobs) {
    const code = job.error?.code ?? "unknown";
    const group = groups.get(code);
    if (group) group.jobs++;
    else groups.set(code, { code, jobs: 1, example: job });
  }
  return [...groups.values()];
}
