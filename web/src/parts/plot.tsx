// A plot over time, always with the same figures as a table, because a canvas says nothing to a screen reader.
import "uplot/dist/uPlot.min.css";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { short } from "../format.ts";
import { Time } from "./time.tsx";

export interface Series {
  label: string;
  /** One value for each time. Null where there is none. */
  values: (number | null)[];
  /** The CSS property with its colour. */
  color: "--bar" | "--good" | "--bad" | "--warn" | "--quiet";
  /** Draws a dashed line without an area, as for a limit. Default: false. */
  limit?: boolean;
}

export interface PlotProps {
  title: ComponentChildren;
  /** Milliseconds since the epoch, in ascending order. */
  times: number[];
  series: Series[];
  /** Formats a value. Default: as a number. */
  format?: (value: number) => string;
}

const height = 150;

export function Plot({ title, times, series, format = short }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = series.map(({ label, color, limit }) => `${label}${color}${limit}`).join();

  useEffect(() => {
    const element = place.current!;
    const style = getComputedStyle(document.documentElement);
    const colorOf = (name: string) => resolved(style.getPropertyValue(name));
    const axis = { stroke: colorOf("--quiet"), grid: { stroke: colorOf("--line"), width: 1 }, ticks: { show: false } };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        cursor: { y: false },
        scales: { y: { range: (_, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
        axes: [axis, { ...axis, size: 56, values: (_, values) => values.map(format) }],
        series: [
          {},
          ...series.map(({ label, color, limit }) => ({
            label,
            stroke: colorOf(color),
            width: 1.5,
            points: { show: false },
            ...(limit ? { dash: [6, 4] } : { fill: `color-mix(in srgb, ${colorOf(color)} 18%, transparent)` }),
          })),
        ],
      },
      dataOf(times, series),
      element,
    );
    plot.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(dataOf(times, series)), [times, series]);

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
      <div ref={place} aria-hidden="true" />
      <details>
        <summary>Show as a table</summary>
        <div class="plot-table">
          <table>
            <thead>
              <tr>
                <th scope="col">Time</th>
                {series.map(({ label }) => (
                  <th key={label} scope="col" class="n">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((at, i) => (
                <tr key={at}>
                  <td>
                    <Time at={at} coarse />
                  </td>
                  {series.map(({ label, values }) => (
                    <td key={label} class="n">
                      {values[i] === null || values[i] === undefined ? "–" : format(values[i])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function dataOf(times: number[], series: readonly Series[]): uPlot.AlignedData {
  return [times.map((ms) => ms / 1000), ...series.map(({ values }) => values)];
}

/** Returns a colour that a canvas understands: it does not know light-dark(). */
function resolved(color: string): string {
  const probe = document.createElement("span");
  probe.style.color = color;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
