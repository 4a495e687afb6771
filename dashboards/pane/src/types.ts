// What comes from the server: Grafana's dashboard JSON (the part our builder
// writes) and data frames in the JSON form Grafana's own servers answer with.

export interface Threshold {
  color: string;
  value: number | null;
}

export interface Mapping {
  type: "value" | "range" | "regex" | "special";
  options: Record<string, unknown>;
}

export interface DataLink {
  title: string;
  url: string;
  targetBlank?: boolean;
}

export interface FieldConfig {
  displayName?: string;
  description?: string;
  unit?: string;
  decimals?: number | null;
  min?: number | null;
  max?: number | null;
  noValue?: string;
  color?: { mode?: string; fixedColor?: string };
  thresholds?: { mode?: "absolute" | "percentage"; steps: Threshold[] };
  mappings?: Mapping[];
  links?: DataLink[];
  custom?: Record<string, any>;
}

export interface Override {
  matcher: { id: string; options?: any };
  properties: { id: string; value?: any }[];
}

export interface Target {
  refId: string;
  format?: string;
  rawSql?: string;
  hide?: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title?: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  fieldConfig?: { defaults: FieldConfig; overrides: Override[] };
  options?: Record<string, any>;
  transformations?: { id: string; options: any }[];
  links?: DataLink[];
  interval?: string;
  transparent?: boolean;
  collapsed?: boolean;
  panels?: Panel[];
}

export interface Variable {
  name: string;
  label?: string | null;
  type: string;
  hide?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  query?: unknown;
  current?: { text?: string | string[]; value?: string | string[] };
  options?: { text: string; value: string }[];
}

export interface Dashboard {
  uid: string;
  title: string;
  description?: string;
  tags?: string[];
  time?: { from: string; to: string };
  refresh?: string;
  panels: Panel[];
  templating?: { list: Variable[] };
  annotations?: { list: { name: string; enable?: boolean; hide?: boolean; iconColor?: string }[] };
  links?: { title: string; type: string; url?: string; tags?: string[] }[];
}

export type FieldType = "time" | "number" | "string" | "boolean" | "other";

/** A column as the server sends it; times are milliseconds since 1970. */
export interface WireField {
  name: string;
  type: FieldType;
  labels?: Record<string, string>;
}

export interface WireFrame {
  schema: { refId: string; name?: string; fields: WireField[] };
  data: { values: unknown[][] };
}

export interface Field extends WireField {
  config: FieldConfig;
  values: unknown[];
}

export interface Frame {
  refId: string;
  name: string;
  fields: Field[];
  length: number;
}

export interface QueryResult {
  frames?: WireFrame[];
  error?: string;
  notices?: string[];
}

export interface Annotation {
  time: number;
  timeEnd: number | null;
  text: string;
  tags: string[];
  source: string;
  color: string;
}

/** Where the page is: all that a shared link keeps. */
export interface Place {
  uid: string;
  from: string;
  to: string;
  variables: Record<string, string[]>;
  panel: number | null;
}

/** A span of time, resolved: milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

export const ALL = "$__all";
