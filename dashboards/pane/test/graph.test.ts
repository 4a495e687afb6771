// Node graphs: the same picture for the same graph, and what its columns mean.

import assert from "node:assert/strict";
import { test } from "node:test";

import { layout, neighbour, pathOf } from "../src/graph/layout";
import type { Graph, GraphEdge, GraphNode } from "../src/graph/model";
import { stretches } from "../src/panels/stretches";

function node(id: string, group: string | null, fixed: GraphNode["fixed"] = null): GraphNode {
  return { id, row: 0, title: id, subtitle: "", main: "", secondary: "", color: null, arcs: [], radius: 30, fixed, group };
}

function edge(source: string, target: string, row: number): GraphEdge {
  return { id: `${source} ${target}`, row, source, target, main: "", secondary: "", color: null, thickness: 1, dash: null };
}

const NODES = [node("a", "east"), node("b", "east"), node("c", "west"), node("d", "west"), node("e", null)];
const EDGES = [edge("a", "b", 0), edge("b", "c", 1), edge("c", "d", 2), edge("d", "d", 3), edge("c", "b", 4)];
const FRAME = { width: 800, height: 600 };

function graph(nodes: GraphNode[], edges: GraphEdge[]): Graph {
  const none = { refId: "", name: "", fields: [], length: 0 };
  return { nodes, edges, nodeFrame: none, edgeFrame: none, groupedBy: "cluster", left: { nodes: 0, edges: 0 } };
}

test("the order of rows moves nothing", () => {
  const one = layout(graph(NODES, EDGES), FRAME);
  const other = layout(graph(NODES.toReversed(), EDGES.toReversed()), FRAME);
  assert.deepEqual([...one.nodes].sort(), [...other.nodes].sort());
  assert.deepEqual([...one.edges].sort(), [...other.edges].sort());
});

test("boxes hold their nodes and no others, and do not touch", () => {
  const { nodes, boxes } = layout(graph(NODES, EDGES), FRAME);
  assert.deepEqual(boxes.map(({ name }) => name), ["east", "west"]);
  for (const { id, group } of NODES) {
    const { x, y } = nodes.get(id)!;
    const holding = boxes.filter((box) => x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height);
    assert.deepEqual(holding.map(({ name }) => name), group ? [group] : []);
  }
  const [east, west] = boxes as [typeof boxes[0], typeof boxes[0]];
  assert.ok(east.x + east.width < west.x || west.x + west.width < east.x || east.y + east.height < west.y || west.y + west.height < east.y);
});

test("nodes do not lie on each other", () => {
  const many = Array.from({ length: 60 }, (_, at) => node(`n${at}`, `g${at % 7}`));
  const lines = Array.from({ length: 80 }, (_, at) => edge(`n${at % 60}`, `n${(at * 7 + 3) % 60}`, at));
  const places = [...layout(graph(many, lines), FRAME).nodes.values()];
  const near = places.flatMap((a, i) => places.slice(i + 1).filter((b) => Math.hypot(a.x - b.x, a.y - b.y) < 60));
  assert.equal(near.length, 0);
});

test("given places are kept", () => {
  const fixed = [node("a", null, { x: -5, y: 10 }), node("b", null, { x: 300, y: 0 })];
  assert.deepEqual([...layout(graph(fixed, [edge("a", "b", 0)]), FRAME).nodes], [["a", { x: -5, y: 10 }], ["b", { x: 300, y: 0 }]]);
});

test("arrow keys go to what lies ahead", () => {
  const places = new Map([["a", { x: 0, y: 0 }], ["b", { x: 100, y: 10 }], ["c", { x: 40, y: 90 }]]);
  assert.deepEqual([neighbour(places, "a", 1, 0), neighbour(places, "a", 0, 1), neighbour(places, "a", -1, 0)], ["b", "c", null]);
});

test("a line of two points is straight", () => {
  assert.equal(pathOf([{ x: 0, y: 0 }, { x: 10, y: 5 }]), "M0.0 0.0L10.0 5.0");
});

test("states last until the next row, and gaps stay gaps", () => {
  const span = { from: 0, to: 10_000 };
  assert.deepEqual(stretches([0, 1000, 2000, 3000], ["ok", "ok", null, "bad"], span, true),
    [{ from: 0, to: 2000, value: "ok" }, { from: 3000, to: 4000, value: "bad" }]);
});
