// A node graph from its two frames, by Grafana's rules for their columns.

import { css } from "../colors";
import { field, isHidden, isNumber, nameOf, show } from "../fields";
import type { Field, Frame, Panel } from "../types";
import { format } from "../units";

export interface Arc {
  share: number;
  color: string;
  name: string;
}

export interface GraphNode {
  id: string;
  row: number;
  title: string;
  subtitle: string;
  main: string;
  secondary: string;
  color: string | null;
  arcs: Arc[];
  radius: number;
  fixed: { x: number; y: number } | null;
  group: string | null;
}

export interface GraphEdge {
  id: string;
  row: number;
  source: string;
  target: string;
  main: string;
  secondary: string;
  color: string | null;
  thickness: number;
  dash: string | null;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  nodeFrame: Frame;
  edgeFrame: Frame | null;
  groupedBy: string | null;
  /** Nodes and edges that are not drawn: more than fit, or with an end that is no node. */
  left: { nodes: number; edges: number };
}

const MOST_NODES = 200;
const ARC_COLORS: Record<string, string> = {
  ok: "green", success: "green", healthy: "green", slow: "yellow", degraded: "yellow",
  failed: "red", failing: "red", errors: "red", error: "red", denied: "purple", unknown: "text",
};

function statText(one: Field | undefined, row: number, unit: string | undefined): string {
  const value = one?.values[row];
  if (!one || value === null || value === undefined) return "";
  return isNumber(value) && unit ? format(value, unit) : show(one, value).text;
}

function colorOf(one: Field | undefined, row: number): string | null {
  const value = one?.values[row];
  if (value === null || value === undefined || value === "") return null;
  return typeof value === "string" ? css(value) : show(one!, value).color;
}

function arcsOf(frame: Frame, panel: Panel): { field: Field; color: string; name: string }[] {
  const given: { field: string; color: string }[] = panel.options?.nodes?.arcs ?? [];
  const arcs = given.length
    ? given.flatMap(({ field: name, color }) => {
        const one = field(frame, name);
        return one ? [{ field: one, color }] : [];
      })
    : frame.fields.filter(({ name }) => name.startsWith("arc__")).map((one) => ({
        field: one, color: one.config.color?.fixedColor ?? ARC_COLORS[one.name.slice(5)] ?? "blue",
      }));
  return arcs.map(({ field: one, color }) => ({ field: one, color: css(color), name: one.name.replace(/^arc__/, "") }));
}

const GROUPS = ["cluster", "network", "region", "provider", "cloud"];

/** What nodes are boxed by: the first of these columns that puts some of them together. */
function groupField(frame: Frame): Field | null {
  for (const name of GROUPS) {
    const one = field(frame, `detail__${name}`);
    const values = (one?.values ?? []).filter((value) => value !== null && value !== "");
    if (one && values.length > new Set(values).size) return one;
  }
  return null;
}

function nodesOf(frame: Frame, panel: Panel, group: Field | null): GraphNode[] {
  const units = panel.options?.nodes ?? {};
  const arcs = arcsOf(frame, panel);
  const get = (name: string, row: number): unknown => field(frame, name)?.values[row];
  const isFixed = Boolean(field(frame, "fixedx") && field(frame, "fixedy"));
  return Array.from({ length: Math.min(frame.length, MOST_NODES) }, (_, row) => {
    const [x, y] = [get("fixedx", row), get("fixedy", row)];
    return {
      id: String(get("id", row)),
      row,
      title: String(get("title", row) ?? get("id", row)),
      subtitle: String(get("subtitle", row) ?? ""),
      main: statText(field(frame, "mainstat"), row, units.mainStatUnit),
      secondary: statText(field(frame, "secondarystat"), row, units.secondaryStatUnit),
      color: colorOf(field(frame, "color"), row),
      arcs: arcs.flatMap(({ field: one, color, name }) => {
        const share = one.values[row];
        return isNumber(share) && share > 0 ? [{ share, color, name }] : [];
      }),
      radius: (Number(get("noderadius", row) ?? 40) || 40) * 0.75,
      fixed: isFixed && isNumber(x) && isNumber(y) ? { x, y } : null,
      group: group?.values[row] ? String(group.values[row]) : null,
    };
  });
}

function edgesOf(frame: Frame, panel: Panel): GraphEdge[] {
  const units = panel.options?.edges ?? {};
  const get = (name: string, row: number): unknown => field(frame, name)?.values[row];
  return Array.from({ length: frame.length }, (_, row) => ({
    id: String(get("id", row) ?? row),
    row,
    source: String(get("source", row)),
    target: String(get("target", row)),
    main: statText(field(frame, "mainstat"), row, units.mainStatUnit),
    secondary: statText(field(frame, "secondarystat"), row, units.secondaryStatUnit),
    color: colorOf(field(frame, "color"), row),
    thickness: Math.min(14, Math.max(1, Number(get("thickness", row) ?? 1) || 1)),
    dash: (get("strokedasharray", row) as string | null) || null,
  }));
}

/** The first frame with nodes, the first with a column `source`; null where there are no nodes. */
export function graphOf(panel: Panel, frames: Frame[]): Graph | null {
  const edgeFrame = frames.find((one) => field(one, "source") && field(one, "target")) ?? null;
  const nodeFrame = frames.find((one) => one !== edgeFrame && field(one, "id"));
  if (!nodeFrame?.length) return null;
  const group = groupField(nodeFrame);
  const nodes = nodesOf(nodeFrame, panel, group);
  const known = new Set(nodes.map(({ id }) => id));
  const all = edgeFrame ? edgesOf(edgeFrame, panel) : [];
  const edges = all.filter(({ source, target }) => known.has(source) && known.has(target));
  return {
    nodes, edges, nodeFrame, edgeFrame,
    groupedBy: group ? group.name.replace("detail__", "") : null,
    left: { nodes: nodeFrame.length - nodes.length, edges: all.length - edges.length },
  };
}

/** What a row says besides its place in the picture: `detail__` columns, by name. */
export function detailsOf(frame: Frame, row: number): { name: string; text: string; color: string | null }[] {
  return frame.fields
    .filter((one) => one.name.startsWith("detail__") && !isHidden(one))
    .map((one) => {
      const shown = show(one, one.values[row]);
      const name = one.config.displayName ? nameOf(one) : one.name.slice(8).replaceAll("_", " ");
      return { name, text: shown.text, color: one.config.mappings?.length ? shown.color : null };
    });
}
