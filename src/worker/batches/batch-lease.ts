// Decides which process advances a batch, so that two do not do the same work. Time is divided into slots. The first
// process that inserts a record for a batch and a slot has the lease for that slot. A lease needs no release and no
// expiry, and its holder takes the next slot a little early. Leases only save work. With differing clocks two processes
// may hold one at a time, and then the first insert of each step, job and file still wins.
import type { BatchId } from "../../domain/batch.ts";
import { environmentCollection, numberKey } from "../../store/collection.ts";
import type { WorkerContext } from "../worker-context.ts";

const slotMs = 5_000;
/** Number of slots that are kept, for processes whose clocks are behind. */
const keptSlots = 24;

const leasesIn = environmentCollection<{ workerId: string }>({ stored: "batches", order: "claim/" });

type BatchLeaseContext = Pick<WorkerContext, "store" | "clock" | "settings" | "workerId">;

export class BatchLeases {
  readonly #context: BatchLeaseContext;
  /** The latest known slot of each batch. */
  readonly #known = new Map<BatchId, { slot: number; mine: boolean }>();

  constructor(context: BatchLeaseContext) {
    this.#context = context;
  }

  /** Returns whether this process has the batch now. Reads the store only once per slot. */
  async hold(environment: string, batchId: BatchId): Promise<boolean> {
    // The embedded form has only one process.
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
    // An earlier call may have inserted it without getting the reply.
    const mine = (await leasesIn(store, environment).insertOrGet(lease)).workerId === workerId;
    this.#known.set(batchId, { slot, mine });
    return mine;
  }

  /** Removes past slots. */
  async sweep(environment: string): Promise<void> {
    const { store, clock } = this.#context;
    const before = slotKey(Math.floor(clock.wall() / slotMs) - keptSlots);
    const leases = leasesIn(store, environment);
    await leases.remove(...(await leases.list(1000, { before })).map(({ id }) => id));
  }
}

const slotKey = (slot: number) => numberKey(Math.max(0, slot), 12);
