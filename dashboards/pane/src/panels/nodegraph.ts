// Who talks to whom: nodes in the boxes of their clusters, edges between them.
//
// Drawn by ourselves, not by the chart library: its graphs have no boxes, no
// arcs around nodes, and nothing that a keyboard could reach.

import { el, svg } from "../dom";
import { card, chosenEdge, chosenNode } from "../graph/card";
import { boxShape, edgeShape, extent, nodeShape } from "../graph/draw";
import { layout, neighbour } from "../graph/layout";
import { graphOf, type Graph } from "../graph/model";
import { icon } from "../icons";
import type { Context, Renderer } from "./context";

const MOST_WORDS = 9;
const ARROWS: Record<string, [number, number]> = {
  ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1],
};

interface View {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Zooming and moving: buttons, Ctrl and the wheel, dragging. */
function movable(picture: SVGSVGElement, whole: View): HTMLElement {
  let view = { ...whole };
  const apply = (): void => picture.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  const zoom = (factor: number, at?: { x: number; y: number }): void => {
    const width = Math.min(whole.width * 2, Math.max(whole.width / 12, view.width * factor));
    const scale = width / view.width;
    const [x, y] = [at?.x ?? view.x + view.width / 2, at?.y ?? view.y + view.height / 2];
    view = { x: x - (x - view.x) * scale, y: y - (y - view.y) * scale, width, height: view.height * scale };
    apply();
  };
  const inside = (event: MouseEvent): { x: number; y: number } => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM()!.inverse());
    return { x: point.x, y: point.y };
  };
  picture.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, inside(event));
  }, { passive: false });
  let began: { x: number; y: number } | null = null;
  picture.addEventListener("pointerdown", (event) => (began = event.target === picture ? inside(event) : null));
  addEventListener("pointerup", () => (began = null));
  picture.addEventListener("pointermove", (event) => {
    if (!began) return;
    const now = inside(event);
    view = { ...view, x: view.x + began.x - now.x, y: view.y + began.y - now.y };
    apply();
  });
  apply();
  const button = (sign: "plus" | "minus" | "fit", label: string, action: () => void): HTMLElement =>
    el("button", { type: "button", "aria-label": label, title: label, onclick: action }, icon(sign));
  return el("div", { class: "graph-buttons" },
    button("plus", "Zoom in", () => zoom(1 / 1.3)),
    button("minus", "Zoom out", () => zoom(1.3)),
    button("fit", "Show all", () => {
      view = { ...whole };
      apply();
    }));
}

/** A small graph is not blown up: at most half as large again as it was laid out. */
function framed(whole: View, body: HTMLElement): View {
  const [width, height] = [Math.max(whole.width, body.clientWidth / 1.5), Math.max(whole.height, body.clientHeight / 1.5)];
  return { x: whole.x - (width - whole.width) / 2, y: whole.y - (height - whole.height) / 2, width, height };
}

function notice({ left }: Graph): HTMLElement | null {
  const parts = [
    left.nodes ? `${left.nodes} more nodes are in the table` : "",
    left.edges ? `${left.edges} edges with an end that is not drawn` : "",
  ].filter(Boolean);
  return parts.length ? el("p", { class: "notice", text: `Not drawn: ${parts.join("; ")}` }) : null;
}

/** What is chosen, what is near it, and the card that says so. */
function choosing(graph: Graph, picture: SVGSVGElement, holder: HTMLElement, context: Context) {
  const nodes = new Map([...picture.querySelectorAll<SVGGElement>(".graph-node")].map((one) => [one.dataset.id!, one]));
  const edges = [...picture.querySelectorAll<SVGGElement>(".graph-edge")];
  let shown: HTMLElement | null = null;
  let chosenId: string | null = null;

  function mark(ids: Set<string> | null, isNear: (row: number) => boolean): void {
    picture.classList.toggle("choosing", ids !== null);
    for (const [id, node] of nodes) node.classList.toggle("near", ids?.has(id) ?? false);
    for (const edge of edges) edge.classList.toggle("near", ids !== null && isNear(Number(edge.dataset.row)));
  }

  function focus(id: string): void {
    for (const [other, node] of nodes) node.setAttribute("tabindex", other === id ? "0" : "-1");
    nodes.get(id)!.focus();
  }

  function close(): void {
    shown?.remove();
    shown = null;
    mark(null, () => false);
    if (chosenId !== null) focus(chosenId);
    chosenId = null;
  }

  function present(made: HTMLElement): void {
    shown?.remove();
    shown = made;
    holder.append(made);
    made.querySelector<HTMLElement>("a, button.link, button")?.focus({ preventScroll: true });
  }

  function chooseNode(id: string): void {
    const own = graph.edges.filter(({ source, target }) => source === id || target === id);
    const rows = new Set(own.map(({ row }) => row));
    mark(new Set([id, ...own.flatMap(({ source, target }) => [source, target])]), (row) => rows.has(row));
    chosenId = id;
    present(card(chosenNode(graph, graph.nodes.find((one) => one.id === id)!), context, close, chooseNode));
  }

  function chooseEdge(row: number): void {
    const edge = graph.edges.find((one) => one.row === row)!;
    mark(new Set([edge.source, edge.target]), (other) => other === row);
    chosenId = edge.source;
    present(card(chosenEdge(graph, edge), context, close, chooseNode));
  }

  return { chooseNode, chooseEdge, close, focus };
}

export const nodeGraph: Renderer = (context) => {
  const graph = graphOf(context.panel, context.frames);
  if (!graph) {
    context.body.append(el("p", { class: "empty", text: "No data" }));
    return;
  }
  const places = layout(graph, { width: context.body.clientWidth, height: context.body.clientHeight });
  const hasWords = graph.edges.length <= MOST_WORDS;
  const picture = svg("svg", {
    class: "graph", role: "group", preserveAspectRatio: "xMidYMid meet",
    "aria-label": `${context.panel.title ?? "Graph"}: ${graph.nodes.length} nodes, ${graph.edges.length} edges. Arrow keys move between nodes, Enter opens one.`,
  },
    ...places.boxes.map((box) => boxShape(box, graph.groupedBy)),
    ...graph.edges.map((edge) => edgeShape(edge, places.edges.get(edge.row)!, hasWords)),
    ...graph.nodes.map((node) => nodeShape(node, places.nodes.get(node.id)!, graph.groupedBy)));
  const holder = el("div", { class: "graph-holder" }, picture, notice(graph));
  context.body.append(holder);
  holder.append(movable(picture, framed(extent(places), holder)));
  const first = graph.nodes.toSorted((a, b) => places.nodes.get(a.id)!.x - places.nodes.get(b.id)!.x)[0]!;
  picture.querySelector(`[data-id="${CSS.escape(first.id)}"]`)!.setAttribute("tabindex", "0");
  const { chooseNode, chooseEdge, close, focus } = choosing(graph, picture, holder, context);

  const idAt = (event: Event): string | null =>
    (event.target as Element).closest<SVGGElement>(".graph-node")?.dataset.id ?? null;
  let pressed = { x: 0, y: 0 };
  picture.addEventListener("pointerdown", (event) => (pressed = { x: event.clientX, y: event.clientY }));
  picture.addEventListener("click", (event) => {
    if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 4) return;
    const id = idAt(event);
    const edge = (event.target as Element).closest<SVGGElement>(".graph-edge");
    if (id !== null) chooseNode(id);
    else if (edge) chooseEdge(Number(edge.dataset.row));
    else close();
  });
  picture.addEventListener("keydown", (event) => {
    const id = idAt(event);
    if (id === null) return;
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    if (dx || dy) {
      const next = neighbour(places.nodes, id, dx, dy);
      if (next !== null) focus(next);
    } else if (event.key === "Enter" || event.key === " ") chooseNode(id);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
};
