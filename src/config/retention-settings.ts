// Resolves the section `retention` of the configuration: ages as text become milliseconds.
import type { Path, Report } from "./config-problems.ts";
import type { FileSettings } from "./config-schema.ts";
import { type Age, type RetentionAges, type RetentionSettings, retentionKinds } from "./settings.ts";

type FileRetention = NonNullable<FileSettings["retention"]>;
type FileAges = Pick<FileRetention, keyof RetentionAges>;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Everything is kept, except deliveries, which have always been removed after 30 days. */
const keepAll: RetentionAges = {
  texts: "keep",
  jobs: "keep",
  attempts: "keep",
  files: "keep",
  deliveries: 30 * dayMs,
  usage: "keep",
};

/** 10 GiB. */
const defaultWarnAboveBytes = 10 * 1024 ** 3;

/**
 * Shortest ages. Quotas of a day and their learning read attempts of the last day, and budgets and reports of a month
 * read the usage of this month and of the one before.
 */
const shortest = { attempts: "2d", usage: "62d" } as const;

export function resolveRetention(
  file: FileRetention | undefined,
  environments: readonly string[],
  report: Report,
): RetentionSettings {
  const base: Path = ["retention"];
  const of = (section: "environments" | "tenants") =>
    Object.entries(file?.[section] ?? {}).map(([name, ages]) => {
      return [name, agesOf(ages, [...base, section, name], report)] as const;
    });
  for (const name of Object.keys(file?.environments ?? {})) {
    if (environments.includes(name)) continue;
    report([...base, "environments", name], `must be one of ${environments.join(", ")}; got ${name}`);
  }
  return {
    ages: { ...keepAll, ...agesOf(file ?? {}, base, report) },
    environments: byName(of("environments")),
    tenants: byName(of("tenants")),
    ...(file?.archive !== undefined && { archive: file.archive }),
    warnAboveBytes: file?.warnAboveBytes ?? defaultWarnAboveBytes,
  };
}

/** Makes a map without a prototype, because tenants may have any name. */
function byName<T>(entries: (readonly [string, T])[]): Record<string, T> {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

function agesOf(file: FileAges, path: Path, report: Report): Partial<RetentionAges> {
  const ages = retentionKinds.flatMap((kind) => {
    const text = file[kind];
    if (text === undefined) return [];
    const age = ageOf(text);
    const least = kind === "attempts" || kind === "usage" ? shortest[kind] : undefined;
    if (least !== undefined && age !== "keep" && Number(age) < Number(ageOf(least))) {
      report([...path, kind], `must be at least ${least}, or keep; got ${text}`);
    }
    return [[kind, age] as const];
  });
  return Object.fromEntries(ages) as Partial<RetentionAges>;
}

/** @param text of the form that the schema allows */
function ageOf(text: string): Age | "none" {
  if (text === "keep" || text === "none") return text;
  return Number(text.slice(0, -1)) * (text.endsWith("d") ? dayMs : hourMs);
}
