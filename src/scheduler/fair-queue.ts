// Weighted fair queueing by virtual time (start-time fair queueing), as a tree: environment -> priority -> tenant.
//
// Each node has a virtual time: the service it received, divided by its weight. At each level the child that is
// furthest behind goes next. A node that was idle starts at its parent's current virtual time, so idle time earns
// nothing. No node may be further behind than `maxLag`. Otherwise a tenant whose model was blocked for an hour would
// shut out the others for an hour afterwards.
//
// A tenant (a flow) has one virtual time but a queue per route. A route whose deployments admit nothing must not block
// the tenant's other jobs, nor those of other tenants. Pure: no clock; virtual times are integers.
import type { Priority } from "../domain/job.ts";
import { IndexedHeap } from "./indexed-heap.ts";
import { comesBefore, type Ordered, SortedQueue } from "./sorted-queue.ts";

export interface Weights {
  environments: Record<string, number>;
  priorities: Record<Priority, number>;
  tenants: Record<string, number>;
}

/** The fields of a waiting job that decide its position. */
export interface Queued extends Ordered {
  readonly environment: string;
  readonly priority: Priority;
  readonly tenant: string;
  readonly route: string;
}

/** Maximum lag, in the unit of cost (microseconds of quota time): a whole window. */
const maxLag = 60_000_000;
/** Virtual times are rebased before they reach 2^53, where doubles stop being exact integers. */
const rebaseAt = 2 ** 52;
/** A priority with this many flows sweeps its idle ones, and again when it has twice as many as were left. */
const sweepAt = 256;

export interface Share {
  readonly name: string;
  /** Service received, divided by the weight. */
  virtualTime: number;
  /** Sequence number of becoming active. It breaks ties, so that names chosen by clients do not. */
  activation: number;
  /** Number of jobs waiting below this node. */
  waiting: number;
  /** Virtual time of the child that goes next. A child that becomes active starts here. */
  current: number;
}

export interface Flow<T extends Queued> extends Share {
  readonly parent: PriorityShare<T>;
  readonly queues: Map<string, SortedQueue<T>>;
}

export interface PriorityShare<T extends Queued> extends Share {
  readonly name: Priority;
  readonly parent: EnvironmentShare<T>;
  readonly flows: Map<string, Flow<T>>;
  /** The flows that have a job waiting, by route. */
  readonly ready: Map<string, IndexedHeap<Flow<T>>>;
  sweepAt: number;
}

export interface EnvironmentShare<T extends Queued> extends Share {
  readonly priorities: Map<Priority, PriorityShare<T>>;
}

/** The environment, priority and tenant whose service is counted. */
export type Owner = Pick<Queued, "environment" | "priority" | "tenant">;

export interface Candidate<T extends Queued> {
  readonly flow: Flow<T>;
  readonly job: T;
}

export class FairQueue<T extends Queued> {
  #weights: Weights;
  readonly #environments = new Map<string, EnvironmentShare<T>>();
  #current = 0;
  #activations = 0;
  #passedOver: { flow: Flow<T>; route: string }[] = [];

  constructor(weights: Weights) {
    this.#weights = weights;
  }

  /** Number of waiting jobs. */
  get size(): number {
    let size = 0;
    for (const environment of this.#environments.values()) size += environment.waiting;
    return size;
  }

  setWeights(weights: Weights): void {
    this.#weights = weights;
  }

  push(job: T): void {
    const flow = this.#flowOf(job);
    let queue = flow.queues.get(job.route);
    if (!queue) {
      queue = new SortedQueue<T>();
      flow.queues.set(job.route, queue);
    }
    if (flow.waiting === 0) this.#activate(flow);
    queue.push(job);
    for (const share of pathOf(flow)) share.waiting += 1;
    if (queue.size === 1) this.#heapOf(flow.parent, job.route).push(flow);
  }

  /** Removes a job that is waiting here. */
  remove(job: T): void {
    const flow = this.#flowOf(job);
    const queue = flow.queues.get(job.route)!;
    if (queue.peek() === job) queue.shift();
    else queue.remove(job);
    this.#afterRemoval(flow, job.route, queue);
  }

  /**
   * Returns the next job. It belongs to the environment, then the priority, then the tenant that is furthest behind,
   * among those with a job waiting in an open route. The job stays in the queue until it is removed.
   */
  next(isOpen: (route: string) => boolean, environments?: readonly string[]): Candidate<T> | undefined {
    let best: { environment: Share; priority: Share; flow: Flow<T>; route: string } | undefined;
    for (const environment of this.#environments.values()) {
      if (environment.waiting === 0 || (environments && !environments.includes(environment.name))) continue;
      if (best && best.environment !== environment && !isBehind(environment, best.environment)) continue;
      let inside: typeof best;
      for (const priority of environment.priorities.values()) {
        if (inside && !isBehind(priority, inside.priority)) continue;
        for (const [route, flows] of priority.ready) {
          const flow = flows.peek();
          if (!flow || !isOpen(route)) continue;
          if (!inside || inside.priority !== priority || precedes(flow, route, inside)) {
            inside = { environment, priority, flow, route };
          }
        }
      }
      if (inside) best = inside;
    }
    if (!best) return undefined;
    return { flow: best.flow, job: best.flow.queues.get(best.route)!.peek()! };
  }

  /** Leaves a candidate out of `next` until `restorePassedOver`. */
  passOver(candidate: Candidate<T>): void {
    const route = candidate.job.route;
    candidate.flow.parent.ready.get(route)?.delete(candidate.flow);
    this.#passedOver.push({ flow: candidate.flow, route });
  }

  restorePassedOver(): void {
    for (const { flow, route } of this.#passedOver) {
      const heap = this.#heapOf(flow.parent, route);
      if (flow.queues.has(route) && !heap.has(flow)) heap.push(flow);
      if (heap.size === 0) flow.parent.ready.delete(route);
    }
    this.#passedOver = [];
  }

  /** Counts the service that a job of this owner is about to receive. */
  charge(owner: Owner, cost: number): void {
    const flow = this.#flowOf(owner);
    const environment = flow.parent.parent;
    this.#current = this.#serve(flow.parent.parent, this.#current, cost, this.weightOf(environment));
    environment.current = this.#serve(flow.parent, environment.current, cost, this.weightOf(flow.parent));
    flow.parent.current = this.#serve(flow, flow.parent.current, cost, this.weightOf(flow));
    this.#reposition(flow);
    if (Math.max(environment.virtualTime, flow.parent.virtualTime, flow.virtualTime) > rebaseAt) this.#rebase();
  }

  /** Corrects service that was counted before, up or down. */
  correct(owner: Owner, difference: number): void {
    if (difference === 0) return;
    const flow = this.#flowOf(owner);
    for (const share of pathOf(flow)) {
      const step = Math.ceil(Math.abs(difference) / this.weightOf(share)) * Math.sign(difference);
      share.virtualTime = Math.max(0, share.virtualTime + step);
    }
    this.#reposition(flow);
  }

  /** Yields waiting jobs from the front of every queue, at most `ofEach` of each. */
  *heads(ofEach: number): Iterable<T> {
    for (const flow of this.flows()) for (const queue of flow.queues.values()) yield* queue.first(ofEach);
  }

  *flows(): Iterable<Flow<T>> {
    for (const environment of this.#environments.values())
      for (const priority of environment.priorities.values())
        for (const flow of priority.flows.values()) if (flow.waiting > 0) yield flow;
  }

  /** Yields what waits, by environment, priority and route, with the flows that have jobs there. */
  *groups(): Iterable<{ environment: string; priority: Priority; route: string; flows: readonly Flow<T>[] }> {
    for (const environment of this.#environments.values()) {
      for (const priority of environment.priorities.values()) {
        for (const [route, flows] of priority.ready) {
          if (flows.size === 0) continue;
          yield { environment: environment.name, priority: priority.name, route, flows: flows.values() };
        }
      }
    }
  }

  /** Returns the weight of a node relative to its siblings. Default 1. */
  weightOf(share: Share): number {
    const weights: Record<string, number> =
      this.#weights["queues" in share ? "tenants" : "flows" in share ? "priorities" : "environments"];
    // A tenant may be called `constructor`.
    return Object.hasOwn(weights, share.name) ? weights[share.name]! : 1;
  }

  /** Returns the flow of an owner, with all its waiting jobs. Creates it if necessary. */
  flowOf(owner: Owner): Flow<T> {
    return this.#flowOf(owner);
  }

  // -------------------------------------------------------------- internals

  #flowOf(owner: Owner): Flow<T> {
    let environment = this.#environments.get(owner.environment);
    if (!environment) {
      environment = { ...newShare(owner.environment), priorities: new Map() };
      this.#environments.set(owner.environment, environment);
    }
    let priority = environment.priorities.get(owner.priority);
    if (!priority) {
      priority = {
        ...newShare(owner.priority),
        name: owner.priority,
        parent: environment,
        flows: new Map(),
        ready: new Map(),
        sweepAt,
      };
      environment.priorities.set(owner.priority, priority);
    }
    let flow = priority.flows.get(owner.tenant);
    if (!flow) {
      if (priority.flows.size >= priority.sweepAt) this.#sweep(priority);
      flow = { ...newShare(owner.tenant), parent: priority, queues: new Map() };
      flow.virtualTime = priority.current;
      priority.flows.set(owner.tenant, flow);
    }
    return flow;
  }

  #heapOf(priority: PriorityShare<T>, route: string): IndexedHeap<Flow<T>> {
    let heap = priority.ready.get(route);
    if (!heap) {
      heap = new IndexedHeap<Flow<T>>(isBehind);
      priority.ready.set(route, heap);
    }
    return heap;
  }

  /** Moves nodes that were idle to their parent's current virtual time. */
  #activate(flow: Flow<T>): void {
    const priority = flow.parent;
    const environment = priority.parent;
    if (environment.waiting === 0) this.#start(environment, this.#current);
    if (priority.waiting === 0) this.#start(priority, environment.current);
    this.#start(flow, priority.current);
  }

  #start(share: Share, current: number): void {
    share.virtualTime = Math.max(share.virtualTime, current);
    this.#activations += 1;
    share.activation = this.#activations;
  }

  /** Advances a node by a cost and returns its parent's new current virtual time. */
  #serve(share: Share, current: number, cost: number, weight: number): number {
    const start = Math.max(share.virtualTime, current - Math.ceil(maxLag / weight));
    share.virtualTime = start + Math.ceil(cost / weight);
    return Math.max(current, start);
  }

  #reposition(flow: Flow<T>): void {
    for (const route of flow.queues.keys()) flow.parent.ready.get(route)?.update(flow);
  }

  #afterRemoval(flow: Flow<T>, route: string, queue: SortedQueue<T>): void {
    for (const share of pathOf(flow)) share.waiting -= 1;
    if (queue.size > 0) return;
    flow.queues.delete(route);
    const heap = flow.parent.ready.get(route);
    heap?.delete(flow);
    if (heap?.size === 0) flow.parent.ready.delete(route);
  }

  /** Drops idle flows that would start at the current virtual time anyway. */
  #sweep(priority: PriorityShare<T>): void {
    for (const [name, flow] of priority.flows) {
      if (flow.waiting === 0 && flow.virtualTime <= priority.current) priority.flows.delete(name);
    }
    priority.sweepAt = Math.max(sweepAt, 2 * priority.flows.size);
  }

  /** Lowers all virtual times, and keeps differences of up to `maxLag`. */
  #rebase(): void {
    const down = (shares: Iterable<Share>, current: number): number => {
      const base = Math.max(0, current - maxLag);
      for (const share of shares) share.virtualTime = Math.max(0, share.virtualTime - base);
      return current - base;
    };
    this.#current = down(this.#environments.values(), this.#current);
    for (const environment of this.#environments.values()) {
      environment.current = down(environment.priorities.values(), environment.current);
      for (const priority of environment.priorities.values()) {
        priority.current = down(priority.flows.values(), priority.current);
        // Clamping to zero can create ties, and ties have their own order.
        for (const [route, heap] of priority.ready) {
          const rebuilt = new IndexedHeap<Flow<T>>(isBehind);
          for (const flow of heap.values()) rebuilt.push(flow);
          priority.ready.set(route, rebuilt);
        }
      }
    }
  }
}

function newShare(name: string): Share {
  return { name, virtualTime: 0, activation: 0, waiting: 0, current: 0 };
}

/**
 * Whether a flow and route go before another: the flow that is behind. Within one flow the route with the oldest job
 * wins.
 */
function precedes<T extends Queued>(flow: Flow<T>, route: string, other: { flow: Flow<T>; route: string }): boolean {
  if (flow !== other.flow) return isBehind(flow, other.flow);
  return comesBefore(flow.queues.get(route)!.peek()!, flow.queues.get(other.route)!.peek()!);
}

function isBehind(a: Share, b: Share): boolean {
  return a.virtualTime < b.virtualTime || (a.virtualTime === b.virtualTime && a.activation < b.activation);
}

function* pathOf<T extends Queued>(flow: Flow<T>): Iterable<Share> {
  yield flow;
  yield flow.parent;
  yield flow.parent.parent;
}
