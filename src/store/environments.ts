// Finds the database of an environment, and reports environments that do not exist.
import { SluiceError } from "../domain/errors.ts";

/**
 * Returns the database of an environment.
 * @param databases database names by environment
 * @throws SluiceError `unknown_environment`
 */
export function databaseOf(databases: Readonly<Record<string, string>>, environment: string): string {
  if (!Object.hasOwn(databases, environment)) throw unknownEnvironment(environment);
  return databases[environment]!;
}

export function unknownEnvironment(environment: string): SluiceError {
  return new SluiceError("unknown_environment", `There is no environment "${environment}".`, { field: "environment" });
}

/** The store cannot be opened. The message is whole sentences and says what to do. */
export class StoreOpenError extends Error {
  override readonly name = "StoreOpenError";
}
