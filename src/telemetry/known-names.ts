// Bounds the values of labels: only names of the configuration become labels. What callers choose freely never does.
import type { Settings } from "../config/settings.ts";

/** The value of a label for every other name. */
export const other = "other";

/** Names of the configuration, also after a reload. */
export class KnownNames {
  readonly #settings: Pick<Settings, "models" | "environments">;
  /** The models from which the sets were made. A reload replaces them. */
  #models: Settings["models"] | undefined;
  #deployments: ReadonlySet<string> = new Set();
  #quotas: ReadonlySet<string> = new Set();

  constructor(settings: Pick<Settings, "models" | "environments">) {
    this.#settings = settings;
  }

  model(name: string | undefined): string {
    return name !== undefined && Object.hasOwn(this.#settings.models, name) ? name : other;
  }

  environment(name: string): string {
    return Object.hasOwn(this.#settings.environments, name) ? name : other;
  }

  deployment(id: string): string {
    this.#refresh();
    return this.#deployments.has(id) ? id : other;
  }

  quota(name: string): string {
    this.#refresh();
    return this.#quotas.has(name) ? name : other;
  }

  get deployments(): Iterable<string> {
    this.#refresh();
    return this.#deployments;
  }

  #refresh(): void {
    const { models } = this.#settings;
    if (this.#models === models) return;
    this.#models = models;
    const deployments = Object.values(models).flatMap((model) => model.deployments);
    this.#deployments = new Set(deployments.map(({ id }) => id));
    this.#quotas = new Set(deployments.flatMap(({ quotas }) => quotas.map(({ name }) => name)));
  }
}

/** The first tenants that this process sees, up to a number. All metrics of a process share them. */
export class KnownTenants {
  readonly #most: number;
  readonly #names = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  label(tenant: string): string {
    if (this.#names.has(tenant)) return tenant;
    if (this.#names.size >= this.#most) return other;
    this.#names.add(tenant);
    return tenant;
  }
}
