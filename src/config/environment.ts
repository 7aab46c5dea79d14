// The environment variables that the service reads. docs/configuration.md has the same table, and a test compares them.
// An empty variable counts as unset. A variable wins over the key of the file that sets the same.

/** Names and meanings of the variables. */
export const environmentVariables = {
  HOST: "Address to listen on. Default 127.0.0.1 (this machine only).",
  PORT: "Port to listen on; 0 picks a free port. Default 8000.",
  SLUICE_CONFIG: "Configuration file. Default sluice.yaml in the working directory, if it exists.",
  SLUICE_DATA_DIR: "Folder with the SQLite files. Default data in the working directory.",
  SLUICE_LOG_LEVEL: "trace, debug, info, warn, error or silent. Default info.",
  SLUICE_DEFAULT_MODEL: "Model for jobs that name none. Default llama3-3-70b.",
  SLUICE_PROVIDER: "bedrock or simulator: what answers. Default: depends on the AWS credentials that Sluice finds.",
  SLUICE_AUTH: "off: requests need no API key, whatever address the service listens on. Default keys.",
  SLUICE_METRICS_HOST: "Address of the listener for metrics. Default 127.0.0.1. Requires SLUICE_METRICS_PORT.",
  SLUICE_METRICS_PORT: "Port of the listener for metrics; 0 picks a free port. Default: the HTTP API serves them.",
  SLUICE_METRICS_KEY: "Key that a program sends to read the metrics. Default: none is needed on this machine.",
  SLUICE_UI: "off: serves no dashboard. Default on.",
  SLUICE_PUBLIC_URL: "Address under which browsers reach the service. Default: the proxy's X-Forwarded-Prefix.",
  SLUICE_TRUSTED_PROXIES: "Proxies whose X-Forwarded-For is believed: addresses, networks, commas. Default: none.",
  SLUICE_URL: "Service that commands call. Default http://127.0.0.1:8000.",
  SLUICE_API_KEY: "API key that the commands send to the service.",
  MONGODB_URL: "Keeps the record in MongoDB, shared by any number of processes. Requires REDIS_URL.",
  REDIS_URL: "Keeps the queue in Redis, shared by any number of processes. Requires MONGODB_URL.",
} as const;

export type VariableName = keyof typeof environmentVariables;
export type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the trimmed value of a variable, or undefined if it is unset or empty. */
export function readVariable(env: Environment, name: VariableName): string | undefined {
  return env[name]?.trim() || undefined;
}
