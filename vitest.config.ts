import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: more workers only make every test slower and the time-outs less honest.
    maxWorkers: 2,
    setupFiles: ["test/support/no-real-credentials.ts"],
    globalSetup: ["test/support/global-setup.ts"],
  },
});
