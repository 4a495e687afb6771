// Transformations: the frames a panel draws, by the options in its JSON.

import assert from "node:assert/strict";
import { test } from "node:test";

import { transformed } from "../src/transform";
import type { Panel, WireFrame } from "../src/types";

const CALLS: WireFrame = {
  schema: {
    refId: "A",
    fields: [{ name: "from", type: "string" }, { name: "to", type: "string" }, { name: "requests/s", type: "number" }],
  },
  data: { values: [["east", "east", "west"], ["west", "edge", "west"], [3, 1.5, 7]] },
};

function panel(id: string, options: unknown): Panel {
  return { id: 1, type: "table", gridPos: { x: 0, y: 0, w: 1, h: 1 }, transformations: [{ id, options }] };
}

const OPTIONS = { columnField: "to", rowField: "from", valueField: "requests/s", emptyValue: "empty" };

test("who calls is a row, who is called a column, and nothing is left empty", () => {
  const [{ schema, data }] = transformed(panel("groupingToMatrix", OPTIONS), [CALLS]) as [WireFrame];
  assert.deepEqual(schema.fields, [
    { name: "from\\to", type: "string" }, { name: "west", type: "number" }, { name: "edge", type: "number" },
  ]);
  assert.deepEqual(data.values, [["east", "west"], [3, 7], [1.5, ""]]);
});

test("what a cell without a row holds is an option", () => {
  const [{ data }] = transformed(panel("groupingToMatrix", { ...OPTIONS, emptyValue: "zero" }), [CALLS]) as [WireFrame];
  assert.deepEqual(data.values[2], [1.5, 0]);
});

test("an unknown transformation, or a field that is not there, changes nothing", () => {
  assert.deepEqual(transformed(panel("rain", {}), [CALLS]), [CALLS]);
  assert.deepEqual(transformed(panel("groupingToMatrix", { ...OPTIONS, valueField: "bytes" }), [CALLS]), [CALLS]);
});
