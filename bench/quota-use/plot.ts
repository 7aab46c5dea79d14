// Draws who used how much of a quota, as an SVG: a panel for each quota, a group of bars for each upstream.
import type { Use } from "./upstream.ts";

export interface UseRow extends Use {
  quota: string;
  upstream: string;
  who: string;
}

const title =
  "How much of a quota is used, and how many calls are throttled, by who limits and how the other side counts";
const colours = ["#1f6f8b", "#b8c4cc", "#d9a441", "#8f6bb3"];
const bar = { width: 26, gap: 4 };
const groupGap = 30;
const height = 180;
const left = 50;
const top = 60;
const panelGap = 70;
/** A fixed window lets through more than its limit in a minute that lies across two of them. */
const mostShown = 1.4;

export function drawUse(rows: readonly UseRow[]): string {
  const quotas = unique(rows.map((row) => row.quota));
  const upstreams = unique(rows.map((row) => row.upstream));
  const contenders = unique(rows.map((row) => row.who));
  const groupWidth = contenders.length * (bar.width + bar.gap) + groupGap;
  const panelWidth = upstreams.length * groupWidth;
  const width = left + quotas.length * (panelWidth + panelGap);
  const parts: string[] = [];
  contenders.forEach((who, i) => {
    const x = left + i * 170;
    parts.push(`<rect x="${x}" y="8" width="12" height="12" fill="${colours[i]}"/>`, text(x + 18, 19, who));
  });
  quotas.forEach((quota, panel) => {
    const x0 = left + panel * (panelWidth + panelGap);
    parts.push(text(x0, top - 18, `${quota}: used, % of the limit`, "bold"));
    for (const percent of [0, 50, 100]) {
      const y = yOf(percent / 100);
      parts.push(
        `<line x1="${x0}" y1="${y}" x2="${x0 + panelWidth}" y2="${y}" stroke="#ddd"/>`,
        text(x0 - 30, y + 4, String(percent)),
      );
    }
    upstreams.forEach((upstream, group) => {
      const xg = x0 + group * groupWidth + groupGap / 2;
      parts.push(text(xg, top + height + 34, upstream));
      contenders.forEach((who, i) => {
        const row = rows.find((r) => r.quota === quota && r.upstream === upstream && r.who === who);
        if (!row) return;
        const x = xg + i * (bar.width + bar.gap);
        const y = yOf(Math.min(mostShown, row.held));
        parts.push(
          `<rect x="${x}" y="${y}" width="${bar.width}" height="${top + height - y}" fill="${colours[i]}"/>`,
          text(x, y - 4, (row.held * 100).toFixed(0)),
          text(x, top + height + 16, row.throttled === 0 ? "0" : `${(row.throttled * 100).toFixed(1)}`, "", "#b03a2e"),
        );
      });
    });
  });
  const bottom = top + height + 60;
  parts.push(text(left, bottom, "In red: throttled calls, % of all calls.", "", "#b03a2e"));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${bottom + 16}" font-family="sans-serif" font-size="12">\n` +
    `<title>${title}</title>\n<rect width="100%" height="100%" fill="white"/>\n${parts.join("\n")}\n</svg>\n`
  );
}

function yOf(share: number): number {
  return Math.round(top + height * (1 - share / mostShown));
}

function text(x: number, y: number, words: string, weight = "", fill = "#222"): string {
  const escaped = words.replace(/[<>&]/g, (c) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[c]!);
  return `<text x="${x}" y="${y}" fill="${fill}"${weight && ` font-weight="${weight}"`}>${escaped}</text>`;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
