// Serves /ui/api/live: one event stream per tab of the dashboard, with a snapshot of queue, quotas and deployments at
// most twice a second. All tabs of a process share one snapshot.
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { WatchCaller } from "../caller-watch.ts";
import { closingSignal } from "../disconnect.ts";
import { EventStream } from "../event-stream.ts";
import type { HttpServer } from "../http-types.ts";
import { deploymentsResource } from "../routes/deployment-routes.ts";
import { statsResource } from "../routes/stats-routes.ts";

/** Interval of snapshots, in milliseconds. */
const snapshotMs = 500;

export function liveRoutes(app: HttpServer, context: JobsContext, watchCaller: WatchCaller, keepAliveMs: number): void {
  const closing = closingSignal(app);
  const snapshots = new Snapshots(context);

  app.get("/ui/api/live", { schema: { hide: true } }, async (request, reply) => {
    const events = new EventStream(reply, { keepAliveMs, onSlow: () => reply.raw.destroy() });
    const { admin } = request.caller;
    events.open();
    const stop = snapshots.follow(({ stats, ...visible }) =>
      events.send(JSON.stringify(admin ? { stats, ...visible } : visible)),
    );
    const stopWatch = watchCaller(request, () => {
      events.send("{}", { event: "signed_out" });
      end();
    });
    const end = () => {
      stopWatch();
      stop();
      events.end();
      closing.removeEventListener("abort", end);
    };
    closing.addEventListener("abort", end);
    reply.raw.once("close", end);
    if (closing.aborted) end();
    return reply;
  });
}

async function snapshotOf(context: JobsContext) {
  const snapshot = await context.scheduler.snapshot();
  const stats = await statsResource(context, snapshot);
  return { at: new Date(context.clock.wall()).toISOString(), stats, ...deploymentsResource(context, snapshot) };
}

type Snapshot = Awaited<ReturnType<typeof snapshotOf>>;

/** Reads snapshots while at least one tab follows them. */
class Snapshots {
  readonly #context: JobsContext;
  readonly #followers = new Set<(snapshot: Snapshot) => void>();
  #last: Snapshot | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reading = false;

  constructor(context: JobsContext) {
    this.#context = context;
  }

  /** Calls the follower with the last snapshot and every later one. Returns a function that stops. */
  follow(follower: (snapshot: Snapshot) => void): () => void {
    this.#followers.add(follower);
    if (this.#last) follower(this.#last);
    this.#timer ??= setInterval(() => this.#read(), snapshotMs);
    this.#read();
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#last = undefined;
    };
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      this.#last = await snapshotOf(this.#context);
      for (const follower of this.#followers) follower(this.#last);
    } catch (error) {
      // The store or the queue is unreachable. The tabs keep the last snapshot and show its age.
      this.#context.log.debug({ err: error }, "failed to read a snapshot for the dashboard");
    } finally {
      this.#reading = false;
    }
  }
}
