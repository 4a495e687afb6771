// Where nodes, edges and boxes are: the same for the same graph, whatever order its rows had.

import * as dagre from "@dagrejs/dagre";

import type { Graph, GraphEdge, GraphNode } from "./model";

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Layout {
  nodes: Map<string, Point>;
  /** By `GraphEdge.row`: from rim to rim. */
  edges: Map<number, Point[]>;
  boxes: Box[];
}

const LABEL_WIDTH = 128;
const LABEL_HEIGHT = 40;
const BOX_PADDING = 16;
const BOX_TITLE = 26;
const GAP = 54;

const byId = <T extends { id: string }>(a: T, b: T): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** A point on the rim of a node, towards another point. */
function rim({ x, y }: Point, radius: number, towards: Point): Point {
  const length = Math.hypot(towards.x - x, towards.y - y) || 1;
  return { x: x + ((towards.x - x) / length) * radius, y: y + ((towards.y - y) / length) * radius };
}

/** Between two fixed nodes: bent a little, so that both directions are seen. */
function bent(from: Point, to: Point, step: number): Point[] {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const bend = 0.1 + step * 0.12;
  return [from, { x: (from.x + to.x) / 2 - dy * bend, y: (from.y + to.y) / 2 + dx * bend }, to];
}

function loop({ x, y }: Point, radius: number): Point[] {
  return [
    { x: x - radius * 0.6, y: y - radius * 0.8 }, { x: x - radius, y: y - radius * 2.2 },
    { x: x + radius, y: y - radius * 2.2 }, { x: x + radius * 0.6, y: y - radius * 0.8 },
  ];
}

/** Nodes laid out by themselves, from a corner at 0, 0. */
interface Part {
  width: number;
  height: number;
  nodes: Map<string, Point>;
  middle: Map<number, Point[]>;
}

const cellOf = ({ radius }: GraphNode): { width: number; height: number } =>
  ({ width: Math.max(LABEL_WIDTH, radius * 2), height: radius * 2 + LABEL_HEIGHT });

/** How much of a frame is left empty once a part is scaled into it: less is better. */
const scaleIn = ({ width, height }: { width: number; height: number }, frame: Frame): number =>
  Math.min(frame.width / Math.max(width, 1), frame.height / Math.max(height, 1));

export interface Frame {
  width: number;
  height: number;
}

/** Names are whatever they are; the library's may not be empty. */
const key = (name: string): string => `= ${name}`;

/** In layers, left to right or downwards. */
function layered(nodes: GraphNode[], edges: GraphEdge[], rankdir: "LR" | "TB"): Part {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  const isAcross = rankdir === "LR";
  graph.setGraph({ rankdir, nodesep: isAcross ? 14 : 20, ranksep: isAcross ? 64 : 46, edgesep: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(key(node.id), cellOf(node));
  for (const { source, target, id, row } of edges) graph.setEdge(key(source), key(target), { row }, `${id} ${row}`);
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const places = new Map(nodes.map(({ id }) => {
    const { x, y } = graph.node(key(id)) as Point;
    return [id, { x, y: y - LABEL_HEIGHT / 2 }];
  }));
  const middle = new Map(graph.edges().map((one) => {
    const { row, points } = graph.edge(one) as unknown as { row: number; points: Point[] };
    return [row, points.slice(1, -1).map(({ x, y }) => ({ x, y: y - LABEL_HEIGHT / 2 }))];
  }));
  return { width, height, nodes: places, middle };
}

/** A block of rows, for nodes without edges among them. */
function block(nodes: GraphNode[], columns: number): Part {
  const cell = nodes.map(cellOf).reduce((most, one) =>
    ({ width: Math.max(most.width, one.width), height: Math.max(most.height, one.height) }), { width: 0, height: 0 });
  const places = new Map(nodes.map(({ id }, at) => [id, {
    x: ((at % columns) + 0.5) * cell.width, y: (Math.floor(at / columns) + 0.5) * cell.height - LABEL_HEIGHT / 2,
  }]));
  const rows = Math.ceil(nodes.length / columns);
  return { width: Math.min(columns, nodes.length) * cell.width, height: rows * cell.height, nodes: places, middle: new Map() };
}

function moved({ nodes, middle, ...size }: Part, dx: number, dy: number): Part {
  const move = ({ x, y }: Point): Point => ({ x: x + dx, y: y + dy });
  return {
    ...size,
    nodes: new Map([...nodes].map(([id, at]) => [id, move(at)])),
    middle: new Map([...middle].map(([row, points]) => [row, points.map(move)])),
  };
}

function joined(parts: Part[], width: number, height: number): Part {
  return {
    width, height,
    nodes: new Map(parts.flatMap((one) => [...one.nodes])),
    middle: new Map(parts.flatMap((one) => [...one.middle])),
  };
}

const best = (parts: Part[], frame: Frame): Part =>
  parts.reduce((first, one) => (scaleIn(one, frame) > scaleIn(first, frame) * 1.05 ? one : first));

/** Nodes of one box: those with edges among them in layers, the others in rows below or beside. */
function arranged(nodes: GraphNode[], edges: GraphEdge[], frame: Frame): Part {
  const touched = new Set(edges.flatMap(({ source, target }) => [source, target]));
  const linked = nodes.filter(({ id }) => touched.has(id));
  const alone = nodes.filter(({ id }) => !touched.has(id));
  const layers = linked.length ? [layered(linked, edges, "LR"), layered(linked, edges, "TB")] : [null];
  const shapes: Part[] = [];
  for (const layer of layers) {
    if (layer && !alone.length) shapes.push(layer);
    for (let columns = 1; columns <= alone.length; columns += 1) {
      const rest = block(alone, columns);
      if (!layer) {
        shapes.push(rest);
        continue;
      }
      const [below, beside] = [moved(rest, 0, layer.height + GAP / 3), moved(rest, layer.width + GAP / 3, 0)];
      shapes.push(joined([layer, below], Math.max(layer.width, rest.width), layer.height + GAP / 3 + rest.height));
      shapes.push(joined([layer, beside], layer.width + GAP / 3 + rest.width, Math.max(layer.height, rest.height)));
    }
  }
  return best(shapes, frame);
}

/** Boxes in shelves of a width, each as high as its highest; the ways in which boxes may stand. */
function shelves(parts: Part[], width: number): Point[] {
  let [x, y, high] = [0, 0, 0];
  return parts.map((part) => {
    if (x > 0 && x + part.width > width) [x, y, high] = [0, y + high + GAP, 0];
    const at = { x, y };
    x += part.width + GAP;
    high = Math.max(high, part.height);
    return at;
  });
}

/** Boxes in layers, by who calls whom among them. */
function flowing(names: string[], parts: Part[], links: Set<string>, rankdir: "LR" | "TB"): Point[] {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir, nodesep: GAP, ranksep: GAP * 1.4, edgesep: 10 });
  graph.setDefaultEdgeLabel(() => ({}));
  names.forEach((name, at) => graph.setNode(key(name), { width: parts[at]!.width, height: parts[at]!.height }));
  for (const link of [...links].sort()) {
    const [from, to] = JSON.parse(link) as [string, string];
    graph.setEdge(key(from), key(to));
  }
  dagre.layout(graph);
  return names.map((name, at) => {
    const { x, y } = graph.node(key(name)) as Point;
    return { x: x - parts[at]!.width / 2, y: y - parts[at]!.height / 2 };
  });
}

function together(parts: Part[], corners: Point[]): Part {
  const width = Math.max(...parts.map((part, at) => corners[at]!.x + part.width));
  const height = Math.max(...parts.map((part, at) => corners[at]!.y + part.height));
  return joined(parts.map((part, at) => moved(part, corners[at]!.x, corners[at]!.y)), width, height);
}

/** Every box laid out by itself, then the boxes so that all is seen as large as the frame allows. */
function boxed(nodes: GraphNode[], edges: GraphEdge[], frame: Frame): Part {
  const groupOf = new Map(nodes.map(({ id, group }) => [id, group ?? ""]));
  const names = [...new Set(groupOf.values())].sort();
  const isInside = ({ source, target }: GraphEdge): boolean => groupOf.get(source) === groupOf.get(target);
  const share = Math.sqrt(1 / names.length);
  const parts = names.map((name) => {
    const own = nodes.filter(({ group }) => (group ?? "") === name);
    const inner = arranged(own, edges.filter((edge) => isInside(edge) && groupOf.get(edge.source) === name),
      { width: frame.width * share, height: frame.height * share });
    const { width, height } = inner;
    return { ...moved(inner, BOX_PADDING / 2, BOX_TITLE), width: width + BOX_PADDING, height: height + BOX_TITLE + BOX_PADDING / 2 };
  });
  if (parts.length === 1) return parts[0]!;
  const links = new Set(edges.filter((edge) => !isInside(edge))
    .map(({ source, target }) => JSON.stringify([groupOf.get(source), groupOf.get(target)])));
  const widths = parts.map((_, at) => parts.slice(0, at + 1).reduce((sum, one) => sum + one.width + GAP, -GAP));
  return best([
    together(parts, flowing(names, parts, links, "LR")),
    together(parts, flowing(names, parts, links, "TB")),
    ...widths.map((width) => together(parts, shelves(parts, width + 1))),
  ], frame);
}

/** Grafana's places count pixels of a whole screen from its middle; any numbers are spread to ours. */
function fixed(nodes: GraphNode[]): Map<string, Point> {
  return new Map(nodes.map(({ id, fixed: place }) => [id, place!]));
}

function boxesOf(nodes: GraphNode[], places: Map<string, Point>): Box[] {
  const groups = new Map<string, GraphNode[]>();
  for (const node of nodes) if (node.group !== null) groups.set(node.group, [...(groups.get(node.group) ?? []), node]);
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, members]) => {
    const sides = members.map(({ id, radius }) => {
      const { x, y } = places.get(id)!;
      const half = Math.max(LABEL_WIDTH / 2, radius);
      return [x - half, y - radius, x + half, y + radius + LABEL_HEIGHT] as const;
    });
    const left = Math.min(...sides.map((one) => one[0])) - BOX_PADDING / 2;
    const top = Math.min(...sides.map((one) => one[1])) - BOX_TITLE;
    const right = Math.max(...sides.map((one) => one[2])) + BOX_PADDING / 2;
    const bottom = Math.max(...sides.map((one) => one[3])) + BOX_PADDING / 2;
    return { name, x: left, y: top, width: right - left, height: bottom - top };
  });
}

function route(edge: GraphEdge, step: number, ends: [GraphNode, GraphNode], places: Map<string, Point>, middle: Point[] | undefined): Point[] {
  const [from, to] = [places.get(edge.source)!, places.get(edge.target)!];
  if (edge.source === edge.target) return loop(from, ends[0].radius);
  const way = middle?.length ? [from, ...middle, to] : bent(from, to, step);
  const room = 7 + edge.thickness;
  return [rim(from, ends[0].radius + 5, way[1]!), ...way.slice(1, -1), rim(to, ends[1].radius + room, way.at(-2)!)];
}

export function layout(graph: Graph, frame: Frame): Layout {
  const nodes = [...graph.nodes].sort(byId);
  const edges = [...graph.edges].sort(byId);
  const made = nodes.every((one) => one.fixed)
    ? { nodes: fixed(nodes), middle: new Map<number, Point[]>() }
    : boxed(nodes, edges.filter(({ source, target }) => source !== target), frame);
  const byName = new Map(nodes.map((node) => [node.id, node]));
  const parallel = new Map<string, number>();
  const routes = new Map<number, Point[]>();
  for (const edge of edges) {
    const key = `${edge.source} ${edge.target}`;
    const step = parallel.get(key) ?? 0;
    parallel.set(key, step + 1);
    const ends: [GraphNode, GraphNode] = [byName.get(edge.source)!, byName.get(edge.target)!];
    routes.set(edge.row, route(edge, step, ends, made.nodes, made.middle.get(edge.row)));
  }
  return { nodes: made.nodes, edges: routes, boxes: boxesOf(nodes, made.nodes) };
}

/** A smooth line through points. */
export function pathOf(points: Point[]): string {
  const show = ({ x, y }: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const [first, ...rest] = points as [Point, ...Point[]];
  if (rest.length < 2) return `M${show(first)}L${show(rest[0]!)}`;
  if (rest.length === 3 && points.length === 4) return `M${show(first)}C${rest.map(show).join(" ")}`;
  let path = `M${show(first)}`;
  for (let at = 0; at < rest.length - 1; at += 1) {
    const [here, next] = [rest[at]!, rest[at + 1]!];
    const end = at === rest.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    path += `Q${show(here)} ${show(end)}`;
  }
  return path;
}

/** The nearest node in a direction, for arrow keys: near counts, and aside counts double. */
export function neighbour(places: Map<string, Point>, from: string, dx: number, dy: number): string | null {
  const here = places.get(from)!;
  let best: string | null = null;
  let least = Infinity;
  for (const [id, { x, y }] of places) {
    const ahead = (x - here.x) * dx + (y - here.y) * dy;
    const aside = Math.abs((x - here.x) * dy) + Math.abs((y - here.y) * dx);
    if (id !== from && ahead > 1 && ahead + 2 * aside < least) [best, least] = [id, ahead + 2 * aside];
  }
  return best;
}
