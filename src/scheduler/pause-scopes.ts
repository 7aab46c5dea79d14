// What an operator has paused: models, deployments, and tenants (in one environment or in all). Nothing of it is granted
// until it is resumed; what runs goes on.
import type { PauseTarget } from "./scheduler.ts";

export class Pauses {
  readonly #keys = new Set<string>();

  set(target: PauseTarget, isPaused: boolean): void {
    if (isPaused) this.#keys.add(pauseKey(target));
    else this.#keys.delete(pauseKey(target));
  }

  /** In the order of their keys, so that every implementation answers alike. */
  list(): PauseTarget[] {
    return [...this.#keys].sort().map(pauseTarget);
  }

  has(target: PauseTarget): boolean {
    return this.#keys.size > 0 && this.#keys.has(pauseKey(target));
  }

  /** Why the jobs of an owner are paused; undefined if they are not. */
  ofOwner({ tenant, environment }: { tenant: string; environment: string }): PauseTarget | undefined {
    return [{ tenant }, { tenant, environment }].find((target) => this.has(target));
  }
}

/** Names of environments have no line breaks, those of tenants may: so they stand last. */
export function pauseKey(target: PauseTarget): string {
  if ("model" in target) return `model\n${target.model}`;
  if ("deployment" in target) return `deployment\n${target.deployment}`;
  const { tenant, environment } = target;
  return environment === undefined ? `tenant\n${tenant}` : `tenant_in\n${environment}\n${tenant}`;
}

export function pauseTarget(key: string): PauseTarget {
  const [kind, first = "", ...rest] = key.split("\n");
  if (kind === "tenant_in") return { tenant: rest.join("\n"), environment: first };
  const name = [first, ...rest].join("\n");
  if (kind === "model") return { model: name };
  return kind === "deployment" ? { deployment: name } : { tenant: name };
}
