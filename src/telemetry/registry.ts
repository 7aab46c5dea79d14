// Counters, gauges and histograms in memory, and their text for Prometheus. It replaces prom-client, which is deprecated
// (docs/decisions/own-metrics-registry.md). No metric's name or meaning is known here.

/** The text formats: Prometheus 0.0.4 and OpenMetrics 1.0. */
export type TextFormat = "prometheus" | "openmetrics";

export const contentTypes: Record<TextFormat, string> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** One time series of a counter or a gauge. */
export class Value {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** Adds to the value. A counter takes only positive amounts. */
  inc(by = 1): void {
    this.#value += by;
  }

  set(value: number): void {
    this.#value = value;
  }
}

/** One time series of a histogram. */
export class Distribution {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds upper bounds of the buckets, ascending, without infinity */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    this.#counts[i]!++;
    this.#sum += value;
  }

  /** Returns the buckets with their cumulative counts, the last one for infinity, and the sum of all values. */
  read(): { buckets: [bound: number, count: number][]; sum: number } {
    let total = 0;
    const buckets = this.#counts.map((count, i): [number, number] => {
      total += count;
      return [this.#bounds[i] ?? Number.POSITIVE_INFINITY, total];
    });
    return { buckets, sum: this.#sum };
  }
}

type Tree<Series> = Map<string, Tree<Series> | Series>;

/** All time series of one metric. */
export class Family<Series extends Value | Distribution> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  readonly #create: () => Series;
  /** Series by the values of their labels, one level for each label. Joining the values into one key would cost more. */
  #series: Tree<Series> = new Map();

  constructor({ name, type, help, labels }: Omit<Family<Series>, "with" | "clear" | "all">, create: () => Series) {
    this.name = name;
    this.type = type;
    this.help = help;
    this.labels = labels;
    this.#create = create;
    if (labels.length === 0) this.with();
  }

  /**
   * Returns the series with these values of the labels, in the order of `labels`, which are at most four. Creates it if it
   * is missing.
   */
  with(first = "", second = "", third = "", fourth = ""): Series {
    let tree = this.#series;
    const levels = this.labels.length;
    if (levels > 1) tree = this.#below(tree, first);
    if (levels > 2) tree = this.#below(tree, second);
    if (levels > 3) tree = this.#below(tree, third);
    const last = levels < 2 ? first : levels === 2 ? second : levels === 3 ? third : fourth;
    const known = tree.get(last);
    if (known !== undefined && !(known instanceof Map)) return known;
    const created = this.#create();
    tree.set(last, created);
    return created;
  }

  #below(tree: Tree<Series>, value: string): Tree<Series> {
    const known = tree.get(value);
    if (known instanceof Map) return known;
    const created: Tree<Series> = new Map();
    tree.set(value, created);
    return created;
  }

  /** Removes all series. */
  clear(): void {
    this.#series = new Map();
    if (this.labels.length === 0) this.with();
  }

  /** Returns all series with the values of their labels, in the order of their creation. */
  *all(tree: Tree<Series> = this.#series, values: string[] = []): Iterable<[values: string[], series: Series]> {
    for (const [value, next] of tree) {
      const own = this.labels.length === 0 ? [] : [...values, value];
      if (next instanceof Map) yield* this.all(next, own);
      else yield [own, next];
    }
  }
}

export type Counter = Family<Value>;
export type Gauge = Family<Value>;
export type Histogram = Family<Distribution>;

/** The metrics of one process. */
export class Registry {
  readonly #families = new Map<string, Family<Value> | Family<Distribution>>();
  readonly #collectors: (() => Promise<void> | void)[] = [];

  /** Adds a counter. Its name ends in `_total`. */
  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    return this.#add(new Family({ name, type: "counter", help, labels }, () => new Value()));
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    return this.#add(new Family({ name, type: "gauge", help, labels }, () => new Value()));
  }

  /** @param bounds upper bounds of the buckets, ascending, without infinity */
  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    return this.#add(new Family({ name, type: "histogram", help, labels }, () => new Distribution(bounds)));
  }

  #add<F extends Family<Value> | Family<Distribution>>(family: F): F {
    if (this.#families.has(family.name)) throw new RangeError(`There are two metrics named ${family.name}.`);
    this.#families.set(family.name, family);
    return family;
  }

  /** Runs the function before each scrape, to set gauges. A failure must not leave it. */
  onScrape(collect: () => Promise<void> | void): void {
    this.#collectors.push(collect);
  }

  /** Returns all metrics as text. */
  async scrape(format: TextFormat): Promise<string> {
    await Promise.all(this.#collectors.map((collect) => collect()));
    const text = Array.from(this.#families.values(), (family) => textOf(family, format)).join("");
    return format === "openmetrics" ? `${text}# EOF\n` : text;
  }
}

function textOf(family: Family<Value> | Family<Distribution>, format: TextFormat): string {
  const { name, type, help } = family;
  // OpenMetrics names the family of a counter without the suffix of its samples.
  const title = format === "openmetrics" && type === "counter" ? name.replace(/_total$/, "") : name;
  let text = `# HELP ${title} ${escaped(help)}\n# TYPE ${title} ${type}\n`;
  for (const [values, series] of family.all()) {
    const labels = family.labels.map((label, i) => `${label}="${escaped(values[i]!)}"`);
    if (series instanceof Value) text += sample(name, labels, series.value);
    else {
      const { buckets, sum } = series.read();
      for (const [bound, count] of buckets)
        text += sample(`${name}_bucket`, [...labels, `le="${float(bound)}"`], count);
      text += sample(`${name}_sum`, labels, sum) + sample(`${name}_count`, labels, buckets.at(-1)![1]);
    }
  }
  return text;
}

function sample(name: string, labels: readonly string[], value: number): string {
  return `${name}${labels.length > 0 ? `{${labels.join(",")}}` : ""} ${number(value)}\n`;
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

/** Returns a number as OpenMetrics writes it, so that the label is equal in both formats. */
function float(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : number(value);
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
