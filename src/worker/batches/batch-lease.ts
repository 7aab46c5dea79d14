// Which process takes a batch further, so that two do not do the same work. Time is cut into slots; whoever inserts the
// record of a batch and a slot first has the batch for that slot. Nothing has to be released or to expire, and the
// record of the next slot is taken a little early by whoever is at it.
//
// Nothing but saving work rests on it: with clocks that differ two processes may hold slots at the same time, and then
// the steps of a batch, its jobs and its files are still inserts of which the first one wins.
import type { BatchId } from "../../domain/batch.ts";
import { environmentCollection, numberKey } from "../../store/collection.ts";
import type { WorkerContext } from "../worker-context.ts";

const slotMs = 5_000;
/** Slots are kept this long, for processes whose clocks are behind. */
const keptSlots = 24;

const leasesIn = environmentCollection<{ workerId: string }>({ stored: "batches", order: "claim/" });

type BatchLeaseContext = Pick<WorkerContext, "store" | "clock" | "settings" | "workerId">;

export class BatchLeases {
  readonly #context: BatchLeaseContext;
  /** What is known of the latest slot of a batch. */
  readonly #known = new Map<BatchId, { slot: number; mine: boolean }>();

  constructor(context: BatchLeaseContext) {
    this.#context = context;
  }

  /** Whether this process has the batch now. Cheap: asks the store once in a slot. */
  async hold(environment: string, batchId: BatchId): Promise<boolean> {
    // There is no other process.
    if (!this.#context.settings.distributed) return true;
    const { clock } = this.#context;
    const slots = clock.wall() / slotMs;
    const slot = Math.floor(slots);
    const known = this.#known.get(batchId);
    if (known && known.slot > slot) return known.mine;
    const mine = known?.slot === slot ? known.mine : await this.#take(environment, batchId, slot);
    if (mine && slots - slot > 0.6) await this.#take(environment, batchId, slot + 1);
    return mine;
  }

  forget(batchId: BatchId): void {
    this.#known.delete(batchId);
  }

  async #take(environment: string, batchId: BatchId, slot: number): Promise<boolean> {
    const { store, workerId } = this.#context;
    const lease = { id: `${batchId}/claim/${slot}`, order: slotKey(slot), value: { workerId } };
    // Perhaps an earlier call of this process has inserted it, and the answer was lost.
    const mine = (await leasesIn(store, environment).insertOrGet(lease)).workerId === workerId;
    this.#known.set(batchId, { slot, mine });
    return mine;
  }

  /** Forgets slots that are over. */
  async sweep(environment: string): Promise<void> {
    const { store, clock } = this.#context;
    const before = slotKey(Math.floor(clock.wall() / slotMs) - keptSlots);
    const leases = leasesIn(store, environment);
    await leases.remove(...(await leases.list(1000, { before })).map(({ id }) => id));
  }
}

const slotKey = (slot: number) => numberKey(Math.max(0, slot), 12);
