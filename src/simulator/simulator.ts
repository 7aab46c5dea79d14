// A Bedrock Runtime on localhost. The official SDKs call it like the real one, and it answers with text that is marked
// as synthetic. For trying Sluice without an account, and for its tests.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type Authenticator, createAuthenticator, type SimulatedCredentials } from "./aws-authentication.ts";
import { controlPlaneService } from "./control-plane.ts";
import { createFaultChooser } from "./fault-rules.ts";
import { inspectionService } from "./inspection.ts";
import { createJournal, type RecordedCall } from "./journal.ts";
import { openAiService } from "./openai/service.ts";
import { runtimeService } from "./operations.ts";
import { type ResolvedOptions, resolveOptions, type SimulatorOptions } from "./options.ts";
import { createPools, type DailyQuota, type DeploymentQuotas } from "./pools.ts";
import { randomNumbers } from "./random.ts";
import { serviceQuotasService } from "./service-quotas.ts";
import { createSimulatorServer, type Service } from "./simulator-server.ts";
import { tokenService } from "./token-service.ts";

/** A running simulator. */
export interface Simulator {
  /** Address for the SDK's `endpoint` or AWS_ENDPOINT_URL_BEDROCK_RUNTIME, without a slash at the end. */
  readonly url: string;
  /** The latest calls in order of arrival, invalid ones included. The objects change while their calls run. */
  readonly calls: readonly RecordedCall[];
  /** Number of calls since the start. */
  readonly callCount: number;
  /** Returns the state of the quotas, one entry per model ID or profile, region and account that was called. */
  quotas(): DeploymentQuotas[];
  /**
   * Returns the state of the quotas of tokens per day, one entry per region and account that was called and has one.
   */
  dailyQuotas(): DailyQuota[];
  /** Adds credentials, or replaces those of the same access key, to end a session or rotate a key. */
  setCredentials(credentials: SimulatedCredentials): void;
  /** Closes the port and every connection, and ends running calls as aborted. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts a simulator. Resolves when it listens.
 * @throws RangeError for an invalid option, and the system's error if the port is not available
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const resolved = resolveOptions(options);
  const nextRequestId = requestIds(resolved.seed);
  const journal = createJournal(resolved.journalSize, nextRequestId);
  const { clock } = resolved;
  const startedAt = clock.now();
  const pools = createPools(resolved, startedAt);
  const authenticator = createAuthenticator(resolved, () => clock.wall());
  const byRule = createFaultChooser(resolved.faults, resolved.seed, startedAt);
  const running = createTracker();
  const context = {
    options: resolved,
    journal,
    faultOf: (call: RecordedCall) => {
      // Evaluated in any case, because rules count calls.
      const ruled = byRule(call);
      return resolved.fault?.(call) ?? ruled;
    },
    quotas: pools.of,
    random: randomNumbers(`delays ${resolved.seed}`),
  };
  // The first service that recognizes a request answers it.
  const services: Service[] = [
    runtimeService({ ...context, authenticator }),
    openAiService(context),
    inspectionService(journal, pools, clock),
    ...accountServices(resolved, authenticator, nextRequestId),
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
    quotas: () => pools.report(clock.now()),
    dailyQuotas: pools.daily,
    setCredentials: (credentials) => authenticator.set(credentials),
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

/** Returns the services that AWS offers besides Bedrock Runtime: limits, models and roles of the account. */
function accountServices(
  options: ResolvedOptions,
  authenticator: Authenticator,
  nextRequestId: () => string,
): Service[] {
  const { account = {}, models, requestsPerMinute, tokensPerMinute } = options;
  const counted = {
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
  };
  return [
    controlPlaneService({ account, models, authenticator }),
    serviceQuotasService({ account, counted, authenticator }),
    tokenService({ account, authenticator, nextRequestId }),
  ];
}

/** Tracks the requests that are being answered, so that stopping can wait for them. */
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

/** Returns a generator of ids that look like UUIDs and are the same on every run. */
function requestIds(seed: number): () => string {
  const random = randomNumbers(`request ids ${seed}`);
  const prefix = hex(Math.floor(random() * 2 ** 32), 8);
  let count = 0;
  return () => `${prefix}-0000-4000-8000-${hex(++count, 12)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
