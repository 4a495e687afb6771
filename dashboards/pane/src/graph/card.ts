// What is known of the node or edge that is chosen, and where one can go from it.

import { el } from "../dom";
import { linksOf } from "../links";
import type { Context } from "../panels/context";
import type { Frame } from "../types";
import { detailsOf, type Graph, type GraphEdge, type GraphNode } from "./model";

interface Chosen {
  title: string;
  subtitle: string;
  stats: string[];
  frame: Frame;
  row: number;
  neighbours: { word: string; id: string; title: string }[];
}

export function chosenNode(graph: Graph, node: GraphNode): Chosen {
  const title = (id: string): string => graph.nodes.find((one) => one.id === id)!.title;
  const to = graph.edges.filter(({ source }) => source === node.id).map(({ target }) => target);
  const from = graph.edges.filter(({ target }) => target === node.id).map(({ source }) => source);
  return {
    title: node.title,
    subtitle: node.subtitle,
    stats: [node.main, node.secondary, ...node.arcs.map(({ name, share }) => `${name} ${(share * 100).toFixed(1)}%`)],
    frame: graph.nodeFrame,
    row: node.row,
    neighbours: [
      ...[...new Set(from)].map((id) => ({ word: "from", id, title: title(id) })),
      ...[...new Set(to)].map((id) => ({ word: "to", id, title: title(id) })),
    ],
  };
}

export function chosenEdge(graph: Graph, edge: GraphEdge): Chosen {
  const title = (id: string): string => graph.nodes.find((one) => one.id === id)!.title;
  return {
    title: `${title(edge.source)} → ${title(edge.target)}`,
    subtitle: edge.dash ? "in plaintext, at least in part" : "",
    stats: [edge.main, edge.secondary],
    frame: graph.edgeFrame!,
    row: edge.row,
    neighbours: [
      { word: "from", id: edge.source, title: title(edge.source) },
      { word: "to", id: edge.target, title: title(edge.target) },
    ],
  };
}

/** The card itself; Escape and its button close it. */
export function card(chosen: Chosen, { place, go }: Context, close: () => void, choose: (id: string) => void): HTMLElement {
  const links = chosen.frame.fields.flatMap((field) =>
    linksOf(field.config.links, place, { frame: chosen.frame, at: chosen.row, field }));
  const details = detailsOf(chosen.frame, chosen.row).flatMap(({ name, text, color }) => {
    const value = el("dd", { text });
    if (color) value.style.color = color;
    return [el("dt", { text: name }), value];
  });
  return el("aside", {
    class: "card", "aria-label": chosen.title,
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Escape") close();
    },
  },
    el("button", { type: "button", class: "close", "aria-label": "Close", text: "×", onclick: close }),
    el("h4", { text: chosen.title }),
    chosen.subtitle ? el("p", { class: "muted", text: chosen.subtitle }) : null,
    el("p", { class: "figures", text: chosen.stats.filter(Boolean).join(" · ") }),
    el("div", { class: "card-links" }, ...links.map(({ title, url }) => el("a", {
      href: url, class: "button", text: title, onclick: (event: MouseEvent) => {
        event.preventDefault();
        go(url);
      },
    }))),
    details.length ? el("dl", {}, ...details) : null,
    chosen.neighbours.length ? el("ul", { class: "neighbours" }, ...chosen.neighbours.slice(0, 12).map(({ word, id, title }) =>
      el("li", {}, el("span", { class: "muted", text: `${word} ` }),
        el("button", { type: "button", class: "link", text: title, onclick: () => choose(id) })))) : null);
}
