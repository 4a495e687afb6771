// Bars by category: the first text column is the axis, each number column a series.

import { ink } from "../colors";
import { field as fieldNamed, isHidden, measures, nameOf, seriesColor, show } from "../fields";
import { tooltipContent } from "../tooltip";
import type { Field } from "../types";
import { clock, format } from "../units";
import { axis, chartIn, tooltip } from "./chart";
import type { Renderer } from "./context";
import { legend } from "./legend";

export const barchart: Renderer = (context) => {
  const { panel, frames } = context;
  const options = panel.options ?? {};
  const frame = frames.find((one) => measures(one).length)!;
  const category: Field = (options.xField && fieldNamed(frame, options.xField)) ||
    frame.fields.find((one) => one.type !== "number" && !isHidden(one)) || frame.fields[0]!;
  const bars = measures(frame).filter((one) => one !== category);
  const names = category.values.map((one) => (category.type === "time" ? clock(one as number) : show(category, one).text));
  const isAcross = options.orientation === "horizontal";
  const unit = bars[0]?.config.unit;
  const { chart, end } = chartIn(context, `${panel.title ?? "Bars"}: ${bars.map((one) => nameOf(one, bars)).join(", ")} by ${category.name}`);
  const categories = axis({
    type: "category", data: names, inverse: isAcross, splitLine: { show: false },
    axisLabel: { width: isAcross ? 190 : Math.max(44, (context.body.clientWidth - 60) / names.length - 6), overflow: "truncate", interval: isAcross || names.length <= 8 ? 0 : "auto" },
  });
  const values = axis({
    type: "value", splitNumber: 4, min: bars[0]?.config.min ?? undefined, max: bars[0]?.config.max ?? undefined,
    axisLabel: { formatter: (value: number) => format(value, unit, null) },
  });
  const series = bars.map((one, at) => ({
    id: nameOf(one, bars),
    name: nameOf(one, bars),
    type: "bar",
    color: seriesColor(one, at),
    data: one.values.map((value) => {
      const { color } = show(one, value);
      return color && one.config.color?.mode !== "palette-classic" ? { value, itemStyle: { color } } : value;
    }),
    barMaxWidth: 28,
    itemStyle: { borderRadius: 2 },
    ...(options.stacking && options.stacking !== "none" ? { stack: "all" } : {}),
  }));
  chart.setOption({
    animation: false,
    grid: { left: 8, right: 20, top: 10, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: tooltip({
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: ink("hover") } },
      formatter: (points: any[]) => tooltipContent(points[0]?.name ?? "", points.map((one) => ({
        color: one.color, name: one.seriesName, value: show(bars[one.seriesIndex]!, one.value).text,
      }))),
    }),
    xAxis: isAcross ? values : categories,
    yAxis: isAcross ? categories : values,
    series,
  });
  if (options.legend?.showLegend !== false && bars.length > 1) {
    const items = series.map(({ name, color }) => ({ name, color }));
    context.body.append(legend(items, (hidden) => {
      chart.setOption({ series: series.map((one) => ({ id: one.id, data: hidden.has(one.name) ? [] : one.data })) });
    }));
  }
  return end;
};
