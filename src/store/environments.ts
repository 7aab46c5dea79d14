// Which database an environment's records are in, and what is said of an environment that there is not.
import { SluiceError } from "../domain/errors.ts";

/**
 * @param databases by environment
 * @throws SluiceError `unknown_environment`
 */
export function databaseOf(databases: Readonly<Record<string, string>>, environment: string): string {
  if (!Object.hasOwn(databases, environment)) throw unknownEnvironment(environment);
  return databases[environment]!;
}

export function unknownEnvironment(environment: string): SluiceError {
  return new SluiceError("unknown_environment", `There is no environment "${environment}".`, { field: "environment" });
}

/** The message is whole sentences and says what to do. */
export class StoreOpenError extends Error {
  override readonly name = "StoreOpenError";
}
