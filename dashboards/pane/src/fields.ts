// Frames as panels read them: each field with its configuration worked out,
// each value with the text and colour that mappings and thresholds give it.

import { SERIES, between, css } from "./colors";
import type { Field, FieldConfig, Frame, Mapping, Override, Panel, Threshold, WireField, WireFrame } from "./types";
import { clock, format } from "./units";

/** What a person sees of a value. */
export interface Shown {
  text: string;
  color: string | null;
}

function matches(matcher: Override["matcher"], field: WireField, refId: string): boolean {
  const wanted = matcher.options;
  switch (matcher.id) {
    case "byName":
      return field.name === wanted || labelled(field) === wanted;
    case "byNames":
      return (wanted?.names ?? []).includes(field.name);
    case "byRegexp":
      return new RegExp(String(wanted).replace(/^\/(.*)\/[a-z]*$/, "$1")).test(labelled(field)) ||
        new RegExp(String(wanted).replace(/^\/(.*)\/[a-z]*$/, "$1")).test(field.name);
    case "byType":
      return field.type === wanted;
    case "byFrameRefID":
      return refId === wanted;
    default:
      return false;
  }
}

function set(target: Record<string, any>, path: string, value: unknown): void {
  const keys = path.split(".");
  let at = target;
  for (const key of keys.slice(0, -1)) at = at[key] = { ...at[key] };
  at[keys.at(-1)!] = value;
}

/** The panel's defaults, and its overrides over them in their order. */
function configured(panel: Panel, field: WireField, refId: string): FieldConfig {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const config: FieldConfig = { ...defaults, custom: { ...defaults.custom } };
  for (const { matcher, properties } of overrides) {
    if (!matches(matcher, field, refId)) continue;
    for (const { id, value } of properties) set(config, id, value);
  }
  return config;
}

export function framesOf(panel: Panel, wire: WireFrame[]): Frame[] {
  return wire.map(({ schema, data }) => ({
    refId: schema.refId,
    name: schema.name ?? "",
    length: data.values[0]?.length ?? 0,
    fields: schema.fields.map((field, at) => ({
      ...field,
      config: configured(panel, field, schema.refId),
      values: data.values[at] ?? [],
    })),
  }));
}

/** The name a series has from its labels: one label's value, else the name with all of them. */
function labelled(field: WireField): string {
  const labels = Object.entries(field.labels ?? {});
  if (!labels.length) return field.name;
  if (labels.length === 1) return labels[0]![1];
  return `${field.name} ${labels.map(([, value]) => value).join(" ")}`;
}

export function nameOf(field: Field, siblings: Field[] = [field]): string {
  const given = field.config.displayName;
  if (given) {
    return given.replace(/\$\{__field\.(labels\.(\w+)|name)\}/g, (_, what: string, label: string) =>
      what === "name" ? field.name : (field.labels?.[label] ?? ""));
  }
  const labels = Object.values(field.labels ?? {});
  if (!labels.length) return field.name;
  const oneMeasure = siblings.every((other) => other.type === "time" || other.name === field.name);
  return oneMeasure ? labels.join(" ") : `${field.name} ${labels.join(" ")}`;
}

export function field(frame: Frame | undefined, name: string): Field | undefined {
  return frame?.fields.find((one) => one.name.toLowerCase() === name.toLowerCase());
}

/** Fields that are drawn: numbers that nothing hides. */
export function measures(frame: Frame): Field[] {
  return frame.fields.filter((one) => one.type === "number" && !isHidden(one));
}

export function isHidden({ config: { custom = {} } }: Field): boolean {
  return custom.hidden === true || custom.hideFrom?.viz === true;
}

export const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

function mapped(value: unknown, mappings: Mapping[] = []): { text?: string; color?: string } | null {
  for (const { type, options } of mappings) {
    if (type === "value") {
      const result = (options as Record<string, any>)[String(value)];
      if (result) return result;
    } else if (type === "range") {
      const { from, to, result } = options as any;
      if (isNumber(value) && value >= (from ?? -Infinity) && value <= (to ?? Infinity)) return result;
    } else if (type === "regex") {
      const { pattern, result } = options as any;
      const found = typeof value === "string" && new RegExp(pattern.replace(/^\/(.*)\/$/, "$1")).exec(value);
      if (found) return { ...result, text: result.text?.replace("$1", found[1] ?? "") };
    } else {
      const { match, result } = options as any;
      const isNull = value === null || value === undefined;
      if ((isNull && /null/.test(match)) || (Number.isNaN(value) && /nan/.test(match))) return result;
      if (match === "empty" && value === "") return result;
      if (String(value) === match) return result;
    }
  }
  return null;
}

/** Steps that hold from each on; the first holds from minus infinity. */
export function steps(config: FieldConfig): Threshold[] {
  return config.thresholds?.steps ?? [];
}

export function thresholdColor(config: FieldConfig, value: number): string | null {
  const { min, max, thresholds } = config;
  const span = (max ?? 100) - (min ?? 0);
  const measured = thresholds?.mode === "percentage" && span ? ((value - (min ?? 0)) / span) * 100 : value;
  let color: string | null = null;
  for (const step of steps(config)) if (step.value === null || measured >= step.value) color = step.color;
  return color;
}

const CONTINUOUS: Record<string, [string, string, string]> = {
  "continuous-GrYlRd": ["green", "yellow", "red"],
  "continuous-RdYlGr": ["red", "yellow", "green"],
  "continuous-BlYlRd": ["blue", "yellow", "red"],
  "continuous-BlPu": ["blue", "blue", "purple"],
  "continuous-blues": ["#e6efff", "#8ab8ff", "#1f60c4"],
  "continuous-greens": ["#e8f7e5", "#96d98d", "#37872d"],
  "continuous-reds": ["#ffe5e8", "#ff7383", "#c4162a"],
};

function colorByScheme(one: Field, value: unknown): string | null {
  const { config } = one;
  const mode = config.color?.mode;
  if (mode === "fixed") return css(config.color?.fixedColor);
  if (!isNumber(value)) return null;
  const scheme = mode && CONTINUOUS[mode];
  if (scheme) {
    const numbers = one.values.filter(isNumber);
    const low = config.min ?? Math.min(...numbers);
    const high = config.max ?? Math.max(...numbers);
    const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
    return share < 0.5 ? between(scheme[0], scheme[1], share * 2) : between(scheme[1], scheme[2], share * 2 - 1);
  }
  const color = thresholdColor(config, value);
  return color === null ? null : css(color);
}

function textOf(value: unknown, one: Field): string {
  if (value === null || value === undefined) return one.config.noValue ?? "–";
  if (one.type === "time" && isNumber(value)) return one.config.unit ? format(value, one.config.unit) : clock(value);
  if (isNumber(value)) return format(value, one.config.unit, one.config.decimals);
  if (Array.isArray(value)) return value.map(String).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

export function show(one: Field, value: unknown): Shown {
  const mapping = mapped(value, one.config.mappings);
  return {
    text: mapping?.text ?? textOf(value, one),
    color: mapping?.color ? css(mapping.color) : colorByScheme(one, value),
  };
}

/** The colour of a series: fixed, by thresholds of its last value, or the next of the palette. */
export function seriesColor(one: Field, at: number): string {
  const { mode, fixedColor } = one.config.color ?? {};
  if (mode === "fixed" || mode === "shades") return css(fixedColor);
  if (mode === "thresholds" || mode?.startsWith("continuous")) {
    const last = one.values.findLast(isNumber);
    const color = last === undefined ? null : colorByScheme(one, last);
    if (color) return color;
  }
  return SERIES[at % SERIES.length]!;
}

const CALCULATIONS: Record<string, (numbers: number[], all: unknown[]) => unknown> = {
  lastNotNull: (_, all) => all.findLast((one) => one !== null && one !== undefined) ?? null,
  last: (_, all) => all.at(-1) ?? null,
  firstNotNull: (_, all) => all.find((one) => one !== null && one !== undefined) ?? null,
  first: (_, all) => all[0] ?? null,
  min: (numbers) => (numbers.length ? Math.min(...numbers) : null),
  max: (numbers) => (numbers.length ? Math.max(...numbers) : null),
  sum: (numbers) => numbers.reduce((total, one) => total + one, 0),
  mean: (numbers) => (numbers.length ? numbers.reduce((total, one) => total + one, 0) / numbers.length : null),
  count: (_, all) => all.length,
  range: (numbers) => (numbers.length ? Math.max(...numbers) - Math.min(...numbers) : null),
};

/** One value for a column, as `reduceOptions.calcs` and legends name it. */
export function calculate(name: string, values: unknown[]): unknown {
  return (CALCULATIONS[name] ?? CALCULATIONS.lastNotNull!)(values.filter(isNumber), values);
}
