// Histograms with buckets that grow by a constant factor, so that percentiles have a bounded relative error and the
// histograms of several processes and hours can be added. Pure.

/** Counts of values by bucket number. Only buckets with values are present, so it is small as JSON. */
export type LogHistogram = Record<number, number>;

/** Buckets per doubling. */
const resolution = 8;

/** Largest relative error of a percentile: half a bucket. Values below 1 count as 0. */
export const percentileError = 2 ** (0.5 / resolution) - 1;

/** Counts a value from 0. */
export function observe(histogram: LogHistogram, value: number, times = 1): void {
  const bucket = value < 1 ? 0 : 1 + Math.floor(resolution * Math.log2(value));
  histogram[bucket] = (histogram[bucket] ?? 0) + times;
}

/** Adds the counts of `more` to `histogram`, in place. */
export function addHistogram(histogram: LogHistogram, more: LogHistogram): void {
  for (const [bucket, times] of Object.entries(more)) {
    histogram[Number(bucket)] = (histogram[Number(bucket)] ?? 0) + times;
  }
}

/** Returns the number of values. */
export function countOf(histogram: LogHistogram): number {
  return Object.values(histogram).reduce((sum, times) => sum + times, 0);
}

/**
 * Returns the value below or at which a share of all values lies, within `percentileError`. Undefined without values.
 * @param share 0 to 1, such as 0.95
 */
export function percentile(histogram: LogHistogram, share: number): number | undefined {
  // Keys that are whole numbers are in ascending order.
  const buckets = Object.entries(histogram);
  const rank = Math.max(1, Math.ceil(share * countOf(histogram)));
  let seen = 0;
  for (const [bucket, times] of buckets) {
    seen += times;
    if (seen >= rank) return middleOf(Number(bucket));
  }
  return undefined;
}

/** Returns the geometric middle of a bucket. */
function middleOf(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** ((bucket - 0.5) / resolution);
}
