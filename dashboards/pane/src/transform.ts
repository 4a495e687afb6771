// Transformations of frames, as a dashboard's JSON names them: one function an id.

import type { Panel, WireField, WireFrame } from "./types";

interface Matrix {
  columnField?: string;
  rowField?: string;
  valueField?: string;
  emptyValue?: "empty" | "null" | "zero" | "true" | "false";
}

const EMPTY = { empty: "", null: null, zero: 0, true: true, false: false };

/** Rows of (row, column, value) as a matrix; a frame without those fields stays as it is. */
function groupingToMatrix(frame: WireFrame, options: Matrix): WireFrame {
  const { fields } = frame.schema;
  const found = [options.rowField, options.columnField, options.valueField].map((name) => fields.findIndex((one) => one.name === name));
  if (found.some((at) => at < 0)) return frame;
  const [rows, columns, values] = found.map((at) => frame.data.values[at]!) as [unknown[], unknown[], unknown[]];
  const [rowNames, columnNames] = [[...new Set(rows)], [...new Set(columns)]];
  const rowAt = new Map(rowNames.map((name, at) => [name, at]));
  const cells = new Map(columnNames.map((name) => [name, rowNames.map((): unknown => EMPTY[options.emptyValue ?? "empty"])]));
  values.forEach((value, at) => {
    cells.get(columns[at])![rowAt.get(rows[at])!] = value;
  });
  const type = fields[found[2]!]!.type;
  const head: WireField = { name: `${options.rowField}\\${options.columnField}`, type: fields[found[0]!]!.type };
  return {
    schema: { ...frame.schema, fields: [head, ...columnNames.map((name) => ({ name: String(name), type }))] },
    data: { values: [rowNames, ...cells.values()] },
  };
}

const TRANSFORMATIONS: Record<string, (frame: WireFrame, options: any) => WireFrame> = { groupingToMatrix };

/** What the panel's transformations make of its frames, one after the other; those we do not know change nothing. */
export function transformed(panel: Panel, frames: WireFrame[]): WireFrame[] {
  return (panel.transformations ?? []).reduce(
    (so, { id, options }) => so.map((frame) => TRANSFORMATIONS[id]?.(frame, options) ?? frame), frames);
}
