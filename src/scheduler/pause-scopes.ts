// The models, deployments and tenants (in one environment or in all) that an operator paused. The scheduler grants none
// of their jobs until they are resumed. Running calls continue.
import type { PauseTarget } from "./scheduler.ts";

export class Pauses {
  readonly #keys = new Set<string>();

  set(target: PauseTarget, isPaused: boolean): void {
    if (isPaused) this.#keys.add(pauseKey(target));
    else this.#keys.delete(pauseKey(target));
  }

  /** Returns the targets sorted by key, so that every implementation returns the same order. */
  list(): PauseTarget[] {
    return [...this.#keys].sort().map(pauseTarget);
  }

  has(target: PauseTarget): boolean {
    return this.#keys.size > 0 && this.#keys.has(pauseKey(target));
  }

  /** Returns the pause that applies to the jobs of an owner, or undefined if there is none. */
  ofOwner({ tenant, environment }: { tenant: string; environment: string }): PauseTarget | undefined {
    if (this.#keys.size === 0) return undefined;
    return [{ tenant }, { tenant, environment }].find((target) => this.has(target));
  }
}

/**
 * Returns the key of a target. A tenant comes last, because its name may contain line breaks; names of environments may
 * not.
 */
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
