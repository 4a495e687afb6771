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

const LABEL_WIDTH = 136;
const LABEL_HEIGHT = 40;
const BOX_PADDING = 16;
const BOX_TITLE = 24;

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

function layered({ nodes, edges }: Graph): { nodes: Map<string, Point>; middle: Map<number, Point[]> } {
  const graph = new dagre.graphlib.Graph({ multigraph: true, compound: true });
  graph.setGraph({ rankdir: "LR", nodesep: 34, ranksep: 92, edgesep: 22, marginx: 10, marginy: 10 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const group of [...new Set(nodes.map((one) => one.group))].sort()) {
    if (group !== null) graph.setNode(`box ${group}`, {});
  }
  for (const { id, radius, group } of [...nodes].sort(byId)) {
    graph.setNode(`node ${id}`, { width: Math.max(LABEL_WIDTH, radius * 2), height: radius * 2 + LABEL_HEIGHT });
    if (group !== null) graph.setParent(`node ${id}`, `box ${group}`);
  }
  const drawn = [...edges].sort(byId).filter(({ source, target }) => source !== target);
  drawn.forEach(({ source, target, id, row }) =>
    graph.setEdge(`node ${source}`, `node ${target}`, { row, weight: 1 }, `${id} ${row}`));
  dagre.layout(graph);
  const places = new Map(nodes.map(({ id }) => {
    const { x, y } = graph.node(`node ${id}`) as Point;
    return [id, { x, y: y - LABEL_HEIGHT / 2 }];
  }));
  const middle = new Map(graph.edges().map((one) => {
    const { row, points } = graph.edge(one) as unknown as { row: number; points: Point[] };
    return [row, points.slice(1, -1)];
  }));
  return { nodes: places, middle };
}

/** A square of rows, for what cannot be layered and has no places. */
function grid(nodes: GraphNode[]): Map<string, Point> {
  const columns = Math.ceil(Math.sqrt(nodes.length));
  return new Map([...nodes].sort(byId).map(({ id }, at) =>
    [id, { x: (at % columns) * 190, y: Math.floor(at / columns) * 150 }]));
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

export function layout(graph: Graph): Layout {
  const { nodes, edges } = graph;
  const isFixed = nodes.every((one) => one.fixed);
  let made: { nodes: Map<string, Point>; middle: Map<number, Point[]> };
  if (isFixed) made = { nodes: fixed(nodes), middle: new Map() };
  else {
    try {
      made = layered(graph);
    } catch {
      made = { nodes: grid(nodes), middle: new Map() };
    }
  }
  const byName = new Map(nodes.map((node) => [node.id, node]));
  const parallel = new Map<string, number>();
  const routes = new Map<number, Point[]>();
  for (const edge of [...edges].sort(byId)) {
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
