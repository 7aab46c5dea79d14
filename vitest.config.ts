import { resolve, sep } from "node:path";
import { defineConfig, type Plugin, type TestProjectInlineConfiguration } from "vitest/config";

const src = resolve(import.meta.dirname, "src") + sep;
const dist = resolve(import.meta.dirname, "dist") + sep;
/** Matches files of the build only, even in a checkout whose own path contains `dist`. */
const built = new RegExp(dist.replace(/[^\w/]/g, "\\$&"));

/**
 * Tests import the service from `src`, and run what the build made of it in `dist`: the same files that users run, loaded
 * by Node itself. Worker threads and child processes then need no compiler, and no test compiles the service again.
 * The global setup brings `dist` up to date first.
 */
const runCompiled: Plugin = {
  name: "run-compiled",
  enforce: "pre",
  resolveId(source, importer) {
    if (!source.startsWith(".") || importer === undefined) return undefined;
    const path = resolve(importer, "..", source);
    return path.startsWith(src) ? path.replace(src, dist).replace(/\.ts$/, ".js") : undefined;
  },
};

function project(test: TestProjectInlineConfiguration["test"]): TestProjectInlineConfiguration {
  return {
    plugins: [runCompiled],
    test: {
      testTimeout: 30_000,
      hookTimeout: 30_000,
      server: { deps: { external: [built] } },
      execArgv: ["--enable-source-maps"],
      ...test,
    },
  };
}

const setupFiles = ["test/support/no-real-credentials.ts", "test/support/seed.ts"];
const servers = "test/support/start-servers.ts";
const python = "test/support/python-environment.ts";
const promtool = "test/support/promtool.ts";
const goClients = "test/support/go-clients.ts";
const unit = "test/**/*.unit.test.ts";
const proofs = "test/**/*.proof.test.ts";
const forms = "test/**/*.forms.test.ts";

// A file's name decides its project: `*.unit.test.ts`, `*.proof.test.ts`, and `*.test.ts` for the service tests. What holds for
// both forms of the service, `*.forms.test.ts`, runs embedded in the service tests and distributed in the proofs.
export default defineConfig({
  test: {
    globalSetup: ["test/support/build.ts"],
    // Two cores: more workers only make every test slower and the time-outs less honest.
    maxWorkers: 2,
    projects: [
      // Pure code: no sockets, threads or processes, so all files share one module graph.
      project({
        name: "unit",
        include: [unit],
        setupFiles: [...setupFiles, "test/support/pure-code-only.ts"],
        pool: "threads",
        isolate: false,
      }),
      // The service as it runs: SQLite, sockets, one case per operation for Redis and MongoDB's protocol. The files share two
      // processes: with one process each, loading the service 123 times was half of all CPU time.
      project({
        name: "service",
        include: ["test/**/*.test.ts"],
        exclude: [unit, proofs],
        setupFiles: ["test/support/leave-nothing.ts", ...setupFiles],
        isolate: false,
        globalSetup: [servers],
        provide: { form: "embedded" },
      }),
      // What takes long: model runs, random runs, quota simulations, kills and faults, the distributed service.
      project({
        name: "proofs",
        include: [proofs, forms],
        setupFiles,
        globalSetup: [servers, python, promtool, goClients],
        provide: { form: "distributed" },
      }),
    ],
  },
});
