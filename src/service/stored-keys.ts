// Composes `sluice keys` for a stopped service: opens the store, applies one operation to the keys, and closes it.

import type { Settings } from "../config/settings.ts";
import { systemClock } from "../domain/clock.ts";
import { commandCaller } from "../jobs/caller.ts";
import { readUses } from "../jobs/keys/key-uses.ts";
import { createKey, type KeysContext, listKeys, revokeKey } from "../jobs/keys/keys.ts";
import { type KeyBody, type KeyResource, keyInputOf, keyResource } from "../wire/key-resource.ts";
import { openStore } from "./backends.ts";
import { createLog } from "./log.ts";

export type { KeyBody, KeyResource };

/** The operations of /v1/keys, with the same results. */
export interface Keys {
  create(body: KeyBody): Promise<KeyResource>;
  list(): Promise<KeyResource[]>;
  revoke(id: string): Promise<KeyResource>;
}

/**
 * Runs `use` with the stored keys.
 * @throws StoreOpenError, for example if a service has the data folder open; what `use` throws
 */
export async function withKeys<T>(settings: Settings, use: (keys: Keys) => Promise<T>): Promise<T> {
  const store = await openStore(settings, systemClock);
  const context: KeysContext = { settings, store, clock: systemClock, log: createLog(settings.logLevel) };
  try {
    return await use({
      async create(body) {
        const { record, key } = await createKey(context, keyInputOf(body), commandCaller);
        return keyResource(record, { key: key.text });
      },
      async list() {
        const records = await listKeys(context);
        const ids = records.map(({ id }) => id);
        const uses = await readUses(store, ids);
        return records.map((record) => keyResource(record, { lastUsedAt: uses.get(record.id) }));
      },
      revoke: async (id) => keyResource(await revokeKey(context, id, commandCaller)),
    });
  } finally {
    await store.close();
  }
}
