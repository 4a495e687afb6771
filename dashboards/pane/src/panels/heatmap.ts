// Counts by time and bucket: one column a bucket, named by its upper bound.

import { ink } from "../colors";
import { isNumber, measures, nameOf } from "../fields";
import { tooltipContent } from "../tooltip";
import type { Field } from "../types";
import { clock, format } from "../units";
import { axis, chartIn, timeLabel, tooltip } from "./chart";
import type { Renderer } from "./context";

const COLD_TO_HOT = ["#3b5fc0", "#2f9fb0", "#7fc97f", "#f2d24b", "#f08a3c", "#d23f4e"];

export const heatmap: Renderer = (context) => {
  const { panel, span } = context;
  const frame = context.frames.find((one) => measures(one).length)!;
  const time = frame.fields.find((one) => one.type === "time")!;
  const columns = measures(frame);
  const bound = (one: Field): number => Number(nameOf(one, columns) || Number.NaN);
  const isSorted = columns.every((one) => !Number.isNaN(bound(one)));
  const buckets = isSorted ? columns.toSorted((a, b) => bound(a) - bound(b)) : columns;
  const unit = panel.options?.yAxis?.unit;
  const bounds = buckets.map((one) => {
    const name = nameOf(one, buckets);
    return name !== "" && Number.isFinite(Number(name)) ? format(Number(name), unit) : name;
  });
  const exponent = panel.options?.color?.exponent ?? 1;
  const least = panel.options?.filterValues?.le ?? 0;
  const cells = buckets.flatMap((one, y) => one.values.flatMap((value, x) =>
    isNumber(value) && value > least ? [[x, y, value ** exponent, value]] : []));
  const most = Math.max(1, ...cells.map((one) => one[2]!));
  const countUnit = panel.options?.cellValues?.unit;
  const { chart, end } = chartIn(context, `${panel.title ?? "Heatmap"}: counts by time and bucket up to ${bounds.at(-1)}`);
  chart.setOption({
    animation: false,
    grid: { left: 8, right: 12, top: 8, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: tooltip({
      formatter: ({ value: [x, y, , count] }: any) => tooltipContent(clock(time.values[x] as number), [
        { name: `up to ${bounds[y]}`, value: format(count, countUnit) },
      ]),
    }),
    visualMap: { show: false, min: 0, max: most, dimension: 2, inRange: { color: COLD_TO_HOT } },
    xAxis: axis({
      type: "category", data: time.values, splitLine: { show: false },
      axisLabel: { formatter: (value: string) => timeLabel(Number(value), span) },
    }),
    yAxis: axis({ type: "category", data: bounds, splitLine: { show: false } }),
    series: [{
      type: "heatmap", data: cells, itemStyle: { borderColor: ink("panel"), borderWidth: 1 }, progressive: 0,
    }],
  });
  return end;
};
