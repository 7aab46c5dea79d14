// How ages are chosen, against a plain reading of the rules, for any configuration.
import fc from "fast-check";
import { expect, test } from "vitest";
import { type RetentionKind, type RetentionSettings, retentionKinds } from "../../../src/config/settings.ts";
import {
  ageGroups,
  ageOf,
  hasZeroRetention,
  keepsAll,
  zeroRetentionMs,
} from "../../../src/jobs/retention/retention-policy.ts";
import { includesTenant } from "../../../src/store/upkeep-store.ts";

const hourMs = 3_600_000;
const age = fc.oneof(
  fc.constant("keep" as const),
  fc.integer({ min: 1, max: 5 }).map((n) => n * 10 * hourMs),
);
const ages = {
  texts: fc.oneof(age, fc.constant("none" as const)),
  jobs: age,
  attempts: age,
  files: age,
  deliveries: age,
  usage: age,
};
const some = fc.record(ages, { requiredKeys: [] });
const tenants = ["a", "b", "c", "other", "__proto__"];
const byName = (names: string[]) =>
  fc.uniqueArray(fc.tuple(fc.constantFrom(...names), some), { selector: ([name]) => name }).map((entries) => {
    const map: Record<string, object> = Object.create(null);
    for (const [name, value] of entries) map[name] = value;
    return map;
  });
const settings = fc.record({
  ages: fc.record(ages),
  environments: byName(["UAT", "PROD"]),
  tenants: byName(tenants),
  warnAboveBytes: fc.constant(1),
}) as fc.Arbitrary<RetentionSettings>;
const environment = fc.constantFrom("UAT", "PROD");
const tenant = fc.constantFrom(...tenants, "unnamed");

/** The first of tenant, environment and all that says something. */
function said(of: RetentionSettings, where: string, who: string, kind: RetentionKind) {
  return [of.tenants[who], of.environments[where], of.ages].find((level) => level?.[kind] !== undefined)![kind]!;
}

test("the most specific age wins, and nothing that contains texts outlives them", () => {
  fc.assert(
    fc.property(settings, environment, tenant, (of, where, who) => {
      const ms = (kind: RetentionKind) => {
        const value = said(of, where, who, kind);
        return typeof value === "number" ? value : value === "none" ? zeroRetentionMs : Number.POSITIVE_INFINITY;
      };
      const get = (kind: RetentionKind) => ageOf(of, where, who, kind);
      const zero = said(of, where, who, "texts") === "none";
      expect(hasZeroRetention(of, where, who)).toBe(zero);
      expect([get("attempts"), get("usage")]).toEqual([ms("attempts"), ms("usage")]);
      if (zero) {
        for (const kind of ["texts", "jobs", "files", "deliveries"] as const) {
          expect(get(kind)).toBe(Math.min(kind === "texts" ? Number.POSITIVE_INFINITY : ms(kind), get(kind)));
          expect(get(kind)).toBeLessThanOrEqual(zeroRetentionMs);
        }
      } else {
        expect([get("jobs"), get("deliveries")]).toEqual([ms("jobs"), ms("deliveries")]);
        expect(get("texts")).toBe(Math.min(ms("texts"), ms("jobs")));
        expect(get("files")).toBe(Math.min(ms("files"), ms("texts"), ms("jobs")));
      }
    }),
  );
});

test("the groups of a kind contain every tenant once, at its age, unless nothing is to be done", () => {
  fc.assert(
    fc.property(settings, environment, tenant, fc.constantFrom(...retentionKinds), (of, where, who, kind) => {
      const groups = ageGroups(of, where, kind);
      const own = groups.filter((group) => includesTenant(group.tenants, who)).map(({ ageMs }) => ageMs);
      const age = ageOf(of, where, who, kind);
      // Texts that go with their record need no removal of their own.
      const wanted = kind === "texts" && age === ageOf(of, where, who, "jobs") ? Number.POSITIVE_INFINITY : age;
      expect(own).toEqual(wanted === Number.POSITIVE_INFINITY ? [] : [wanted]);
    }),
  );
});

test("everything is kept only if no tenant has an age", () => {
  fc.assert(
    fc.property(settings, (of) => {
      const kinds = retentionKinds.filter((kind) => kind !== "deliveries");
      const kept = ["UAT", "PROD"].every((where) =>
        [...Object.keys(of.tenants), "unnamed"].every((who) =>
          kinds.every((kind) => ageOf(of, where, who, kind) === Number.POSITIVE_INFINITY),
        ),
      );
      // Ages that the tenants replace one by one do not matter to any of them, but to tenants to come.
      expect(keepsAll(of, ["UAT", "PROD"])).toBe(kept);
    }),
  );
});
