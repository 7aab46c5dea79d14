// Caches the keys of a process. It compares the cache with the record every two seconds, so that a revoked key is soon
// refused everywhere. It reads all keys again only after a change. It looks up a key that is not cached by its id, at
// most a few times a second. So a new key works everywhere, and a stream of wrong keys costs the store little and
// waits.
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { parseApiKey, secretFits } from "../../domain/api-key.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import { type Caller, type KeyLimits, keylessCaller } from "../caller.ts";
import { KeyUses } from "./key-uses.ts";
import { callerOf, findKeys, type KeyRecord, type KeysContext, keysChange, listKeys, weightsOf } from "./keys.ts";

/** Minimum time between lookups of unknown keys, in milliseconds. */
const lookMs = 250;
const lookAtOnce = 1000;
/** Number of unknown ids that a process remembers while no key is required. */
const unknownIds = 1000;
/**
 * Time after which all keys are read again without a known change, in milliseconds. Older versions do not record their
 * changes.
 */
const readAgainMs = 30_000;
/** Time after which the scheduler gets unchanged weights again, in milliseconds. An emptied Redis has lost them. */
const announceAgainMs = 30_000;

export interface KeyRegistry {
  /**
   * Whether calls require a key. False while no key has ever existed, or if keys are switched off; then every caller
   * may do everything.
   */
  readonly required: boolean;
  /**
   * Returns the caller of an Authorization header.
   * @throws SluiceError `unauthenticated`, which repeats nothing of what was sent
   */
  authenticate(authorization: string | undefined): Promise<Caller>;
  /** Returns the caller of a key, or undefined if the key is unknown or revoked. */
  callerOf(keyId: string): Promise<Caller | undefined>;
  /** Returns the limits of a key, or undefined if it has none or is unknown. */
  limitsOf(keyId: string): KeyLimits | undefined;
  /** Returns the tenant of a key, or undefined if the key is unknown. */
  tenantOf(keyId: string): string | undefined;
  /** Ids of keys that have limits. Includes revoked keys, whose jobs may still run. */
  readonly limited: readonly string[];
  /** Reads the keys again now. */
  refresh(): Promise<void>;
  /** Returns when keys were last used, in milliseconds since the epoch, by id; without keys that never were. */
  lastUses(keyIds: readonly string[]): Promise<Map<string, number>>;
  /** Adds a key that this process has just created or revoked, without reading the others. */
  note(record: KeyRecord): Promise<void>;
  /**
   * Calls the listener when keys may have been created or revoked: at once for this process, and within `refreshMs` for
   * others. Returns a function that stops.
   */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}

export interface RegistryOptions {
  /** Time between two comparisons with the record, in milliseconds. Default: 2,000. */
  refreshMs?: number;
}

export interface RegistryContext extends Pick<KeysContext, "store" | "clock"> {
  settings: { authentication: "keys" | "off" };
  scheduler: Pick<Scheduler, "setTenantWeights">;
  log: Logger;
}

/**
 * Opens the registry. Resolves when the keys are known.
 * @throws what the store throws
 */
export async function openKeyRegistry(context: RegistryContext, options: RegistryOptions = {}): Promise<KeyRegistry> {
  const registry = new Registry(context, options);
  await registry.refresh();
  registry.start();
  return registry;
}

class Registry implements KeyRegistry {
  readonly #context: RegistryContext;
  readonly #uses: KeyUses;
  readonly #refreshMs: number;
  #keys = new Map<string, { record: KeyRecord; caller: Caller }>();
  #limited: readonly string[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  /** The value of `keysChange` before the keys were read. */
  #change: unknown;
  /** Keys added since the last read began, which may have missed them. */
  readonly #noted = new Map<string, KeyRecord>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  readonly #wanted = new Set<string>();
  /** Ids that the record did not have while no key was required. A key is presented only after it was created. */
  readonly #unknown = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #looking: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #announced = { weights: "", at: Number.NEGATIVE_INFINITY };
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(context: RegistryContext, { refreshMs = 2000 }: RegistryOptions) {
    this.#context = context;
    this.#uses = new KeyUses(context.store, context.clock);
    this.#refreshMs = refreshMs;
  }

  get required(): boolean {
    return this.#context.settings.authentication === "keys" && this.#keys.size > 0;
  }

  get limited(): readonly string[] {
    return this.#limited;
  }

  limitsOf(keyId: string): KeyLimits | undefined {
    return this.#keys.get(keyId)?.caller.limits;
  }

  tenantOf(keyId: string): string | undefined {
    return this.#keys.get(keyId)?.caller.tenant;
  }

  async authenticate(authorization: string | undefined): Promise<Caller> {
    if (!this.required && !(await this.#isFirstKey(authorization))) return keylessCaller;
    if (authorization === undefined) {
      throw unauthenticated("This call requires an API key. Send the header Authorization: Bearer sk-sluice-...");
    }
    const token = tokenIn(authorization);
    if (token === undefined) {
      throw unauthenticated("The Authorization header must be the word Bearer, a space, and an API key.");
    }
    const parsed = parseApiKey(token);
    const known = parsed && (await this.#find(parsed.id));
    if (!known || !secretFits(parsed.secret, known.record.hash)) throw unauthenticated("The API key is unknown.");
    if (known.record.revokedAt !== undefined) throw unauthenticated("The API key was revoked.");
    this.#uses.note(known.record.id);
    return known.caller;
  }

  /** Whether another process has just created the first keys, and the call carries one. Looks up an id once. */
  async #isFirstKey(authorization: string | undefined): Promise<boolean> {
    if (this.#context.settings.authentication === "off" || authorization === undefined) return false;
    const id = parseApiKey(tokenIn(authorization) ?? "")?.id;
    if (id === undefined || this.#unknown.has(id)) return false;
    if (await this.#find(id)) return true;
    if (this.#unknown.size >= unknownIds) this.#unknown.clear();
    this.#unknown.add(id);
    return this.required;
  }

  async callerOf(keyId: string): Promise<Caller | undefined> {
    const known = await this.#find(keyId);
    if (!known || known.record.revokedAt !== undefined) return undefined;
    this.#uses.note(keyId);
    return known.caller;
  }

  lastUses(keyIds: readonly string[]): Promise<Map<string, number>> {
    return this.#uses.of(keyIds);
  }

  async #find(id: string) {
    const known = this.#keys.get(id);
    if (known) return known;
    this.#wanted.add(id);
    this.#looking ??= this.#look();
    await this.#looking;
    return this.#keys.get(id);
  }

  /** Looks up all wanted keys, including those requested meanwhile. */
  async #look(): Promise<void> {
    const { clock, store } = this.#context;
    try {
      while (this.#wanted.size > 0) {
        const waitMs = Math.max(this.#readAt, this.#lookedAt) + lookMs - clock.now();
        if (waitMs > 0) await sleep(waitMs);
        this.#lookedAt = clock.now();
        const ids = [...this.#wanted].slice(0, lookAtOnce);
        const found = await findKeys({ store }, ids);
        for (const id of ids) this.#wanted.delete(id);
        for (const record of found.values()) await this.note(record);
      }
    } finally {
      this.#wanted.clear();
      this.#looking = undefined;
    }
  }

  async note(record: KeyRecord): Promise<void> {
    this.#noted.set(record.id, record);
    const before = this.#keys.get(record.id);
    const caller = callerOf(record);
    this.#keys.set(record.id, { record, caller });
    if (caller.limits && !before?.caller.limits) this.#limited = [...this.#limited, record.id];
    this.#notify();
    // Only a key with a weight of its own changes the weights.
    if (record.weight !== undefined) await this.#setTenantWeights([...this.#keys.values()].map((key) => key.record));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  /**
   * Reads the keys again. Calls during a read share the next one, so that the result contains what was written before
   * the call.
   */
  async refresh(): Promise<void> {
    await this.#reading?.catch(() => {});
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { clock, store } = this.#context;
    const at = clock.now();
    // Read first, so that a change during the read of the keys is seen next time.
    this.#noted.clear();
    const change = await keysChange({ store });
    const found = new Map((await listKeys({ store })).map((record) => [record.id, record]));
    for (const [id, record] of this.#noted) found.set(id, record);
    const records = [...found.values()];
    this.#keys = new Map(records.map((record) => [record.id, { record, caller: callerOf(record) }]));
    this.#limited = [...this.#keys.values()].flatMap(({ record, caller }) => (caller.limits ? [record.id] : []));
    this.#readAt = at;
    this.#change = change;
    this.#notify();
    await this.#setTenantWeights(records);
  }

  /** Reads the keys again if they may have changed. */
  async #compare(): Promise<void> {
    const { clock, store } = this.#context;
    const isFresh = this.#keys.size > 0 && clock.now() - this.#readAt < readAgainMs;
    if (!isFresh || (await keysChange({ store })) !== this.#change) return this.refresh();
    await this.#setTenantWeights([...this.#keys.values()].map(({ record }) => record));
  }

  async #setTenantWeights(records: readonly KeyRecord[]): Promise<void> {
    const { clock, scheduler, log } = this.#context;
    const weights = weightsOf(records);
    const text = JSON.stringify(weights);
    const same = text === this.#announced.weights;
    if (same && (text === "{}" || clock.now() - this.#announced.at < announceAgainMs)) return;
    try {
      await scheduler.setTenantWeights(weights);
      this.#announced = { weights: text, at: clock.now() };
    } catch (error) {
      log.warn({ err: error }, "failed to set the weights of tenants; trying again");
    }
  }

  start(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#compare()
        .catch((error) => this.#context.log.warn({ err: error }, "failed to read the API keys again"))
        .then(() => this.#uses.saveIfDue())
        .catch((error) => this.#context.log.warn({ err: error }, "failed to save when API keys were used"))
        .finally(() => this.start());
    }, this.#refreshMs).unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.allSettled([this.#reading, this.#looking]);
    await this.#uses.save().catch((error) => {
      this.#context.log.warn({ err: error }, "failed to save when API keys were used");
    });
  }
}

function tokenIn(authorization: string): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization.slice(0, 300))?.[1];
}

function unauthenticated(message: string): SluiceError {
  return new SluiceError("unauthenticated", message);
}
