// A Bedrock Runtime on localhost: the official SDKs talk to it as to the real one, and it answers with text that says
// that it is synthetic. For trying Sluice without an account, and for its tests.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createAuthenticator } from "./authentication.ts";
import { createJournal, type RecordedCall } from "./journal.ts";
import type { CalledModel } from "./models.ts";
import { runtimeService } from "./operations.ts";
import { type ResolvedOptions, resolveOptions, type SimulatorOptions } from "./options.ts";
import { createQuotaEngine, type QuotaEngine, type QuotaStats } from "./quota-engine.ts";
import { randomNumbers } from "./random.ts";
import { createSimulatorServer, type Service } from "./server.ts";

export interface Simulator {
  /** For the SDK's `endpoint` or AWS_ENDPOINT_URL_BEDROCK_RUNTIME; without a slash at the end. */
  readonly url: string;
  /** The latest calls in the order of their arrival, invalid ones included. The objects change while their calls run. */
  readonly calls: readonly RecordedCall[];
  /** How many calls there have been since the start. */
  readonly callCount: number;
  /** What the quotas have seen, one entry per model ID or profile and region that was called. */
  quotas(): (QuotaStats & { modelId: string; region?: string })[];
  /** Closes the port and every connection and ends the running calls as aborted. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts listening.
 * @throws RangeError for an option that makes no sense; the system's error if the port cannot be had.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const resolved = resolveOptions(options);
  const nextRequestId = requestIds(resolved.seed);
  const journal = createJournal(resolved.journalSize, nextRequestId);
  const pools = createPools(resolved);
  const authenticator = createAuthenticator();
  const running = createTracker();
  // The first that knows a request answers it.
  const services: Service[] = [
    runtimeService({
      options: resolved,
      authenticator,
      journal,
      quotas: pools.of,
      random: randomNumbers(`delays ${resolved.seed}`),
    }),
  ];
  const server = createSimulatorServer(services.map(running.track), nextRequestId);
  server.listen(resolved.port, resolved.host);
  await once(server, "listening");
  const { address, port, family } = server.address() as AddressInfo;
  let closed: Promise<unknown> | undefined;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    calls: journal.calls,
    get callCount() {
      return journal.total;
    },
    quotas: pools.report,
    async stop() {
      if (!closed) {
        closed = once(server, "close");
        server.close();
        server.closeAllConnections();
      }
      await closed;
      await running.ended();
    },
  };
}

/** Keeps account of the requests that are being answered, so that stopping can wait for them. */
function createTracker() {
  const running = new Set<Promise<void>>();
  return {
    track:
      (service: Service): Service =>
      (head) => {
        const route = service(head);
        return (
          route &&
          ((exchange) => {
            const answered = route(exchange).finally(() => running.delete(answered));
            running.add(answered);
            return answered;
          })
        );
      },
    ended: () => Promise.allSettled(running),
  };
}

/** One quota engine per model and region that is called. */
function createPools(options: ResolvedOptions) {
  const pools = new Map<string, { modelId: string; region?: string; engine: QuotaEngine }>();
  return {
    of(model: CalledModel, region: string | undefined): QuotaEngine {
      const key = `${region ?? ""} ${model.id}`;
      let pool = pools.get(key);
      if (!pool) {
        pool = { modelId: model.id, ...(region !== undefined && { region }), engine: createEngine(options, model) };
        pools.set(key, pool);
      }
      return pool.engine;
    },
    report: () => [...pools.values()].map(({ engine, ...names }) => ({ ...names, ...engine.stats() })),
  };
}

function createEngine(options: ResolvedOptions, model: CalledModel): QuotaEngine {
  const requests = model.requestsPerMinute ?? options.requestsPerMinute;
  const tokens = model.tokensPerMinute ?? options.tokensPerMinute;
  return createQuotaEngine({
    ...(requests !== undefined && { requestsPerWindow: requests }),
    ...(tokens !== undefined && { tokensPerWindow: tokens }),
    algorithm: options.window,
    windowMs: options.windowMs,
    bucketCapacity: options.bucketCapacity,
    outputBurndown: model.outputBurndown,
  });
}

/** Ids that look like UUIDs and are the same on every run. */
function requestIds(seed: number): () => string {
  const random = randomNumbers(`request ids ${seed}`);
  const prefix = hex(Math.floor(random() * 2 ** 32), 8);
  let count = 0;
  return () => `${prefix}-0000-4000-8000-${hex(++count, 12)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
