/** A configuration that the service refuses to start with. The message lists every problem that was found. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
