// A plot over time, always with the same figures as a table, because a canvas says nothing to a screen reader.
import "uplot/dist/uPlot.min.css";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { plotClock, plotDay, short } from "../format.ts";
import { rowsOf, singles, stacked } from "../plot-data.ts";
import { Time } from "./time.tsx";

export interface Series {
  label: string;
  /** One value for each time. Null where there is none: the line has a gap. */
  values: readonly (number | null)[];
  /** The CSS property with its colour. */
  color: "--bar" | "--good" | "--bad" | "--warn" | "--quiet" | "--bar-soft";
  /** Draws a dashed line without an area, as for a limit. Default: false. */
  limit?: boolean;
}

export interface PlotProps {
  title: ComponentChildren;
  /** The title as words, for the name of the table. */
  name: string;
  /** Milliseconds since the epoch, in ascending order. */
  times: readonly number[];
  series: readonly Series[];
  /** Formats a value. Default: as a number. */
  format?: (value: number) => string;
  /** Draws stacked bars, one for each UTC day. Default: lines in the reader's time zone. */
  days?: boolean;
  /** Whether values are whole numbers, so that no line of the grid is a fraction. Default: false. */
  whole?: boolean;
}

const height = 150;
const dayMs = 86_400_000;
/** Distances of the lines of the grid for whole numbers. */
const wholeSteps = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

export function Plot({ title, name, times, series, format = short, days = false, whole = false }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = series.map(({ label, color, limit }) => `${label}${color}${limit}`).join();
  const rows = rowsOf(
    times,
    series.map(({ values }) => values),
  );
  const isEmpty = rows.length === 0;

  useEffect(() => {
    const element = place.current;
    if (!element) return;
    // Functions, so that another theme needs no other plot.
    const axis = {
      stroke: () => colorOf("--quiet"),
      grid: { stroke: () => colorOf("--line"), width: 1 },
      ticks: { show: false },
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        cursor: { y: false },
        scales: {
          // Half a day on either side, or the bars at the ends would be cut in half.
          x: days ? { range: (_, min, max) => [min - dayMs / 2000, max + dayMs / 2000] } : {},
          y: { range: (_, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
        },
        ...(days && { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") }),
        axes: [
          { ...axis, size: 28, space: 64, values: (_, splits) => labelsOf(splits, days) },
          { ...axis, size: widthOf, values: (_, values) => values.map(format), ...(whole && { incrs: wholeSteps }) },
        ],
        series: [{}, ...series.map((one) => (days ? barOf(one) : lineOf(one)))],
      },
      dataOf(times, series, days),
      element,
    );
    plot.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resize.observe(element);
    const redraw = () => made.redraw(false);
    const theme = new MutationObserver(redraw);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", redraw);
    return () => {
      resize.disconnect();
      theme.disconnect();
      system.removeEventListener("change", redraw);
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, isEmpty]);

  useEffect(() => plot.current?.setData(dataOf(times, series, days)), [times, series]);

  return (
    <figure class="plot">
      <figcaption>
        <strong>{title}</strong>
        {series.map(({ label, color, limit }) => (
          <span key={label} class="quiet">
            <span class={`swatch ${color.slice(2)}${limit ? " dashed" : ""}`} /> {label}
          </span>
        ))}
      </figcaption>
      {isEmpty ? (
        <p class="empty">There are no figures for this time.</p>
      ) : (
        <>
          <div ref={place} aria-hidden="true" />
          <details>
            <summary>Show as a table</summary>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
            <section class="plot-table" tabIndex={0} aria-label={`${name} as a table`}>
              <table>
                <caption class="sr">{name}</caption>
                <thead>
                  <tr>
                    <th scope="col">{days ? "Day (UTC)" : "Time"}</th>
                    {series.map(({ label }) => (
                      <th key={label} scope="col" class="n">
                        {label}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {rows.map(({ at, values }) => (
                    <tr key={at}>
                      <th scope="row">{days ? plotDay(at) : <Time at={at} coarse />}</th>
                      {series.map(({ label }, i) => (
                        <td key={label} class="n">
                          {values[i] === null || values[i] === undefined ? "–" : format(values[i])}
                        </td>
                      ))}
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
          </details>
        </>
      )}
    </figure>
  );
}

function lineOf({ label, color, limit }: Series): uPlot.Series {
  return {
    label,
    stroke: () => colorOf(color),
    width: 1.5,
    // A value without neighbours makes no line.
    points: { show: false, size: 6, filter: (self, index) => singles(self.data[index]!) },
    ...(limit ? { dash: [6, 4] } : { fill: () => `color-mix(in srgb, ${colorOf(color)} 18%, transparent)` }),
  };
}

function barOf({ label, color }: Series): uPlot.Series {
  const fill = () => colorOf(color);
  return {
    label,
    stroke: fill,
    fill,
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars!({ size: [0.7, 48] }),
  };
}

/** Returns the data as uPlot takes them. Stacked bars overlap: the sum of all is drawn first, and each further one in front. */
function dataOf(times: readonly number[], series: readonly Series[], days: boolean): uPlot.AlignedData {
  const columns = series.map(({ values }) => values);
  return [times.map((ms) => ms / 1000), ...(days ? stacked(columns) : columns)] as uPlot.AlignedData;
}

/** Returns the width of the axis, in pixels, that the longest label needs. */
function widthOf(_: uPlot, labels: string[] | null): number {
  return Math.max(40, ...(labels ?? []).map((label) => 16 + 7 * label.length));
}

/** Returns the labels of the time axis. Days appear once. */
function labelsOf(splits: readonly number[], days: boolean): string[] {
  const labels = splits.map((seconds) => {
    const at = seconds * 1000;
    if (days) return at % dayMs === 0 ? plotDay(at) : "";
    return plotClock(at);
  });
  return labels.map((label, i) => (label === labels[i - 1] ? "" : label));
}

/** Returns a colour that a canvas understands: it does not know light-dark(). */
function colorOf(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
