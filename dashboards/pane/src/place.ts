// Where the page is, as an address and back; spans of time and their names.

import type { Dashboard, Place, Span } from "./types";
import { clock } from "./units";

const UNITS_MS: Record<string, number> = {
  s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000,
};

export const QUICK: [string, string, string][] = [
  ["now-5m", "now", "Last 5 minutes"],
  ["now-15m", "now", "Last 15 minutes"],
  ["now-1h", "now", "Last hour"],
  ["now-6h", "now", "Last 6 hours"],
  ["now-24h", "now", "Last 24 hours"],
  ["first", "last", "All data"],
];

export function parse(location: { pathname: string; search: string }): Partial<Place> & { uid: string } {
  const uid = /^\/d\/([\w-]+)/.exec(location.pathname)?.[1] ?? "";
  const query = new URLSearchParams(location.search);
  const variables: Record<string, string[]> = {};
  for (const [key, value] of query) {
    if (key.startsWith("var-")) (variables[key.slice(4)] ??= []).push(value);
  }
  const panel = Number(query.get("viewPanel")?.replace(/\D/g, "") || Number.NaN);
  return {
    uid,
    variables,
    panel: Number.isInteger(panel) ? panel : null,
    ...(query.get("from") && query.get("to") ? { from: query.get("from")!, to: query.get("to")! } : {}),
  };
}

export function address(place: Place): string {
  const query = new URLSearchParams({ from: place.from, to: place.to });
  for (const [name, values] of Object.entries(place.variables)) {
    for (const value of values) query.append(`var-${name}`, value);
  }
  if (place.panel !== null) query.set("viewPanel", String(place.panel));
  return `/d/${place.uid}?${query}`;
}

/** Milliseconds of `now-15m`, `first` and `last` (of the lake's data), a number, or a date. */
export function moment(text: string, now: number, data: Span | null): number {
  if (text === "first") return data?.from ?? now - UNITS_MS.h!;
  if (text === "last") return data?.to ?? now;
  const relative = /^now(?:-(\d+)([smhdw]))?$/.exec(text);
  if (relative) return now - Number(relative[1] ?? 0) * (UNITS_MS[relative[2] ?? "s"] ?? 0);
  if (/^\d{9,}$/.test(text)) return Number(text);
  const parsed = Date.parse(text);
  return Number.isNaN(parsed) ? now : parsed;
}

export function resolve(place: { from: string; to: string }, now: number, data: Span | null): Span {
  const from = moment(place.from, now, data);
  const to = moment(place.to, now, data);
  return to > from ? { from, to } : { from: to - 60_000, to };
}

export function spanName(place: { from: string; to: string }, span: Span): string {
  const quick = QUICK.find(([from, to]) => from === place.from && to === place.to);
  if (quick) return quick[2];
  const sameDay = clock(span.from).slice(0, 10) === clock(span.to).slice(0, 10);
  return `${clock(span.from)} to ${clock(span.to, !sameDay)}`;
}

/**
 * The span a dashboard opens with: its own if the lake has data in it, else all
 * data if that is a day at most, else the day before the newest record.
 */
export function openingSpan(dashboard: Dashboard, now: number, data: Span | null): { from: string; to: string } {
  const own = dashboard.time ?? { from: "now-1h", to: "now" };
  if (!data) return own;
  const span = resolve(own, now, data);
  if (data.to >= span.from && data.from <= span.to) return own;
  if (data.to - data.from <= UNITS_MS.d!) return { from: "first", to: "last" };
  return { from: String(data.to - UNITS_MS.d!), to: String(data.to) };
}

const STEPS_MS = [
  1, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000,
  60_000, 120_000, 300_000, 600_000, 900_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
  10_800_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000, 2_592_000_000, 31_536_000_000,
];

export function milliseconds(text: string | undefined): number {
  const found = /^>?(\d+)(ms|[smhdw])$/.exec(text ?? "");
  if (!found) return 0;
  return Number(found[1]) * (found[2] === "ms" ? 1 : UNITS_MS[found[2]!]!);
}

/** How far apart points are: the span over the points there is room for, a round number. */
export function intervalMs(span: Span, points: number, least: string | undefined): number {
  const exact = (span.to - span.from) / Math.max(1, points);
  const step = STEPS_MS.reduce((best, one) => (Math.abs(one - exact) < Math.abs(best - exact) ? one : best));
  return Math.max(step, milliseconds(least), 1);
}
