// What the commands exit with. docs/command-line.md and `sluice --help` list the codes.

export const exitCodes = {
  /** The command did what it was asked to do. */
  ok: 0,
  /** The configuration is wrong, the service cannot be reached or refused, or something remains to be done. */
  error: 1,
  /** The command line is wrong. */
  usage: 2,
  /** With --wait: the job, or a line of the batch, ended without an answer. */
  notCompleted: 3,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

export const exitCodesHelp = `
Environment:
  SLUICE_URL      address of the service, by default http://127.0.0.1:8000
  SLUICE_API_KEY  API key that the commands send
  NO_COLOR        if set, nothing is coloured

Exit codes:
  0  done
  1  the configuration is wrong, the service cannot start or be reached, it
     refused the request, doctor found a problem, a backup could not be made or
     is damaged, or an import or a change of many jobs left some behind
  2  the command line is wrong
  3  with --wait: the job, or a line of the batch, ended as failed, cancelled or
     expired

Examples:
  sluice serve
  sluice enqueue "Why is the sky blue?" --environment UAT --wait
  sluice batch submit prompts.jsonl --environment PROD --wait`;

/** An error whose message is all that the user needs to see. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
}
