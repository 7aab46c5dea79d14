// What the rules and the dashboard ask Prometheus: every expression with the file and the place that it is in.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";

const folder = resolve(import.meta.dirname, "../../monitoring");

export interface Rule {
  record?: string;
  alert?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

interface PrometheusRule {
  apiVersion: string;
  kind: string;
  spec: { groups: { name: string; rules: Rule[] }[] };
}

interface Variable {
  name: string;
  type: string;
  definition?: string;
}

interface Target {
  expr: string;
  legendFormat: string;
  datasource: { uid: string };
}

interface Panel {
  id: number;
  title: string;
  type: string;
  targets?: Target[];
  gridPos: { x: number; y: number; w: number; h: number };
}

export interface Dashboard {
  uid: string;
  schemaVersion: number;
  id?: number;
  __inputs?: unknown;
  templating: { list: Variable[] };
  panels: Panel[];
}

export const prometheusRule: PrometheusRule = parse(readFileSync(resolve(folder, "prometheus-rule.yaml"), "utf8"));
export const rules = prometheusRule.spec.groups.flatMap((group) => group.rules);
export const alerts = rules.filter((rule) => rule.alert !== undefined);
export const dashboard: Dashboard = JSON.parse(readFileSync(resolve(folder, "grafana-dashboard.json"), "utf8"));
export const targets = dashboard.panels.flatMap(({ title, targets: own = [] }) =>
  own.map((own) => ({ title, ...own })),
);

/** Returns an expression of the dashboard as Prometheus gets it. */
export function interpolated(expr: string): string {
  return expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$\w+/g, ".*");
}

/** A metric that an expression reads, with the labels that it selects by. */
export interface Selector {
  name: string;
  labels: string[];
}

const selector = /\b((?:sluice|process|nodejs)_\w+)(?:\{([^}]*)\})?/g;
const grouping = /\b(?:by|without|on|ignoring|group_left|group_right) \(([^)]*)\)/g;

/** Returns the metrics of the service that an expression reads. Names of recorded rules have a colon. */
export function selectorsOf(expr: string): Selector[] {
  return Array.from(expr.matchAll(selector), ([, name, matchers = ""]) => ({
    name: name!,
    labels: Array.from(matchers.matchAll(/(\w+) ?(?:=~|!~|!=|=)/g), ([, label]) => label!),
  }));
}

/** Returns the labels that an expression groups or joins by. */
export function groupingsOf(expr: string): string[] {
  return Array.from(expr.matchAll(grouping), ([, labels]) =>
    labels!.split(/,\s*/).filter((label) => label !== ""),
  ).flat();
}
