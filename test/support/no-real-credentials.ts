// Tests must never reach a real account: whatever credentials, endpoints or settings the shell has are taken away
// before a test file is loaded.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("AWS_") || name.startsWith("SLUICE_") || name === "MONGODB_URL" || name === "REDIS_URL") {
    delete process.env[name];
  }
}
process.env.AWS_EC2_METADATA_DISABLED = "true";
process.env.AWS_CONFIG_FILE = "/dev/null";
process.env.AWS_SHARED_CREDENTIALS_FILE = "/dev/null";
