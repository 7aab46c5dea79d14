// What the commands exit with. The README and `sluice --help` list them.

export const exitCodes = {
  /** Done. */
  ok: 0,
  /** The configuration is wrong, the service cannot start or be reached, it refused the request, or an import left something. */
  error: 1,
  /** The command line is wrong. */
  usage: 2,
  /** With --wait: the job ended as failed, cancelled or expired. */
  jobNotCompleted: 3,
} as const;

export const exitCodesHelp = `
Exit codes:
  0  done
  1  the configuration is wrong, the service cannot start or be reached, it refused the request, or an import left something
  2  the command line is wrong
  3  with --wait: the job ended as failed, cancelled or expired`;

/** An error whose message is all that the user needs to see. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
}
