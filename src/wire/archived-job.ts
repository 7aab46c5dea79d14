// Defines a line of the archive: the job as the API shows it, with its request.
import type { JobRecord } from "../domain/job.ts";
import { jobResource } from "./job-resource.ts";

/** Returns an ended job in the form of the archive. */
export function archivedJob(record: JobRecord): object {
  return { ...jobResource(record, record.outcome!.at), request: record.job.request };
}
