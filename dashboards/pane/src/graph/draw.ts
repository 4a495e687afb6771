// The picture of a node graph: boxes, edges, nodes; nothing of it moves by itself.

import { between, ink } from "../colors";
import { svg } from "../dom";
import { pathOf, type Box, type Layout, type Point } from "./layout";
import type { GraphEdge, GraphNode } from "./model";

const TAU = Math.PI * 2;
const LETTERS = 17;
const shorten = (text: string, letters = LETTERS): string =>
  text.length > letters ? `${text.slice(0, letters - 1)}…` : text;

export function boxShape({ name, x, y, width, height }: Box, kind: string | null): SVGElement {
  return svg("g", { class: "graph-box", "aria-hidden": "true" },
    svg("rect", { x, y, width, height, rx: 10 }),
    svg("text", { x: x + 10, y: y + 16, text: name }, svg("title", { text: `${kind ?? "group"} ${name}` })));
}

function arc(radius: number, from: number, to: number): string {
  const point = (share: number): string => {
    const angle = share * TAU - Math.PI / 2;
    return `${(Math.cos(angle) * radius).toFixed(2)} ${(Math.sin(angle) * radius).toFixed(2)}`;
  };
  const end = Math.min(to, from + 0.9999);
  return `M${point(from)}A${radius} ${radius} 0 ${end - from > 0.5 ? 1 : 0} 1 ${point(end)}`;
}

function ring({ arcs, color, radius }: GraphNode): SVGElement[] {
  if (!arcs.length) {
    return [svg("circle", { class: "ring", r: radius, stroke: color ?? ink("muted") })];
  }
  const total = Math.max(1, arcs.reduce((sum, { share }) => sum + share, 0));
  let from = 0;
  return arcs.map(({ share, color: hue }) => {
    const made = svg("path", { class: "ring", d: arc(radius, from, from + share / total), stroke: hue });
    from += share / total;
    return made;
  });
}

/** What is said of a node to those who do not see it. */
export function wordsOf(node: GraphNode, kind: string | null): string {
  const arcs = node.arcs.map(({ name, share }) => `${name} ${Math.round(share * 100)}%`);
  return [node.title, node.subtitle, node.group && kind ? `${kind} ${node.group}` : "", node.main, node.secondary, ...arcs]
    .filter(Boolean).join(", ");
}

export function nodeShape(node: GraphNode, at: Point, kind: string | null): SVGGElement {
  const { radius, color, title, subtitle, main, secondary } = node;
  const middle = secondary && main ? -2 : 4;
  return svg("g", {
    class: "graph-node", transform: `translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})`, "data-id": node.id,
    role: "button", tabindex: -1, "aria-label": wordsOf(node, kind),
  },
    svg("circle", { class: "halo", r: radius + 8 }),
    svg("circle", { class: "disc", r: radius, fill: color ? between(ink("panel"), color, 0.14) : ink("panel") }),
    svg("circle", { class: "track", r: radius }),
    ...ring(node),
    main ? svg("text", { class: main.length > 8 ? "main long" : "main", y: middle, text: shorten(main, 11) }) : null,
    secondary ? svg("text", { class: "secondary", y: main ? 11 : 4, text: shorten(secondary, 11) }) : null,
    svg("text", { class: "title", y: radius + 17, text: shorten(title) }),
    subtitle ? svg("text", { class: "subtitle", y: radius + 31, text: shorten(subtitle, 20) }) : null);
}

/** Where an edge's words stand: half way along its line. */
function halfWay(points: Point[]): Point {
  const at = (points.length - 1) / 2;
  const [a, b] = [points[Math.floor(at)]!, points[Math.ceil(at)]!];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function head(points: Point[], size: number, color: string): SVGElement {
  const [before, tip] = [points.at(-2)!, points.at(-1)!];
  const angle = (Math.atan2(tip.y - before.y, tip.x - before.x) * 180) / Math.PI;
  return svg("path", {
    class: "head", d: `M${size} 0L${-size * 0.7} ${size * 0.8}L${-size * 0.7} ${-size * 0.8}Z`, fill: color,
    transform: `translate(${tip.x.toFixed(1)} ${tip.y.toFixed(1)}) rotate(${angle.toFixed(1)})`,
  });
}

export function edgeShape(edge: GraphEdge, points: Point[], hasWords: boolean): SVGGElement {
  const color = edge.color ?? ink("edge");
  const d = pathOf(points);
  const words = halfWay(points);
  const text = [edge.main, edge.secondary].filter(Boolean).join(" · ");
  return svg("g", { class: "graph-edge", "data-row": edge.row },
    svg("path", { class: "touch", d }),
    svg("path", { class: "line", d, stroke: color, "stroke-width": edge.thickness, "stroke-dasharray": edge.dash }),
    head(points, 5 + edge.thickness * 0.7, color),
    text ? svg("text", { class: hasWords ? "edge-words" : "edge-words later", x: words.x, y: words.y - 5, text: shorten(text, 26) }) : null);
}

/** The corner and size that hold all that is drawn. */
export function extent({ nodes, edges, boxes }: Layout): { x: number; y: number; width: number; height: number } {
  const points = [
    ...[...nodes.values()].flatMap(({ x, y }) => [{ x: x - 64, y: y - 38 }, { x: x + 64, y: y + 68 }]),
    ...[...edges.values()].flat(),
    ...boxes.flatMap(({ x, y, width, height }) => [{ x, y }, { x: x + width, y: y + height }]),
  ];
  const xs = points.map((one) => one.x);
  const ys = points.map((one) => one.y);
  const [left, top] = [Math.min(...xs) - 12, Math.min(...ys) - 12];
  return { x: left, y: top, width: Math.max(...xs) + 12 - left, height: Math.max(...ys) + 12 - top };
}
