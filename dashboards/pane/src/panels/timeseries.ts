// Lines, areas and bars over time, with thresholds and annotations.

import { css, faded, ink } from "../colors";
import { el } from "../dom";
import { calculate, isNumber, measures, nameOf, seriesColor, show, steps } from "../fields";
import { tooltipContent } from "../tooltip";
import type { Field, Frame } from "../types";
import { clock, format } from "../units";
import { axis, chartIn, echarts, timeLabel, tooltip } from "./chart";
import type { Context, Renderer } from "./context";
import { legend } from "./legend";

export interface Series {
  name: string;
  color: string;
  field: Field;
  points: [number, number | null][];
}

/** Every number column of every frame with a time, over that time. */
export function seriesOf(frames: Frame[]): Series[] {
  const all = frames.flatMap((frame) => {
    const time = frame.fields.find((one) => one.type === "time");
    return time ? measures(frame).map((one) => ({ frame, time, one })) : [];
  });
  const siblings = all.map(({ one }) => one);
  return all.map(({ time, one }, at) => ({
    name: nameOf(one, siblings),
    color: seriesColor(one, at),
    field: one,
    points: time.values.map((moment, row) => {
      const value = one.values[row];
      return [moment as number, isNumber(value) ? value : null];
    }),
  }));
}

function chartSeries(series: Series[], axes: string[]): Record<string, unknown>[] {
  return series.map(({ name, color, field, points }, at) => {
    const { custom = {}, unit = "" } = field.config;
    const isBars = custom.drawStyle === "bars";
    const opacity = (custom.fillOpacity ?? 0) / 100;
    const stacks = custom.stacking?.mode && custom.stacking.mode !== "none";
    return {
      id: name,
      name,
      type: isBars ? "bar" : "line",
      data: points,
      color,
      yAxisIndex: Math.max(0, axes.indexOf(axisKey(field))),
      // The lowest of a stack is drawn last, so that nothing on top of it hides it.
      ...(stacks ? { stack: `${custom.stacking.group ?? "A"}/${unit}`, z: 2 + (series.length - at) } : {}),
      ...(isBars
        ? { barMaxWidth: 24, itemStyle: { opacity: Math.max(0.5, opacity) } }
        : {
            lineStyle: { width: Math.max(1.5, custom.lineWidth ?? 1), type: dash(custom.lineStyle) },
            areaStyle: opacity ? { color: faded(color, stacks ? Math.max(opacity, 0.4) : opacity) } : undefined,
            step: custom.lineInterpolation === "stepAfter" ? "end" : custom.lineInterpolation === "stepBefore" ? "start" : false,
            smooth: custom.lineInterpolation === "smooth" ? 0.3 : false,
            connectNulls: custom.spanNulls === true,
            showSymbol: custom.showPoints === "always" || points.length <= 40,
            symbol: "circle",
            symbolSize: 5,
          }),
    };
  });
}

function dash(style: { fill?: string } | undefined): string {
  return style?.fill === "dash" ? "dashed" : style?.fill === "dot" ? "dotted" : "solid";
}

const axisKey = ({ config: { unit = "", custom = {} } }: Field): string =>
  `${custom.axisPlacement === "right" ? "right" : ""}/${unit}`;

/** An axis a unit: the first at the left, the others at the right. */
function valueAxes(series: Series[], keys: string[]): Record<string, unknown>[] {
  return keys.map((key, at) => {
    const { config } = series.find(({ field }) => axisKey(field) === key)!.field;
    const { custom = {} } = config;
    const softMin = custom.axisSoftMin;
    return axis({
      type: custom.scaleDistribution?.type === "log" ? "log" : "value",
      position: at === 0 && !key.startsWith("right") ? "left" : "right",
      name: custom.axisLabel ?? "",
      min: config.min ?? (isNumber(softMin) ? (value: { min: number }) => Math.min(softMin, value.min) : undefined),
      max: config.max ?? (isNumber(custom.axisSoftMax)
        ? (value: { max: number }) => Math.max(custom.axisSoftMax, value.max) : undefined),
      splitNumber: 4,
      interval: isNumber(config.min) && isNumber(config.max) ? (config.max - config.min) / 4 : undefined,
      splitLine: { show: at === 0, lineStyle: { color: ink("grid") } },
      axisLabel: { formatter: (value: number) => format(value, config.unit, null) },
    });
  });
}

function thresholdLines(series: Series[]): Record<string, unknown>[] {
  const config = series[0]?.field.config;
  const mode = config?.custom?.thresholdsStyle?.mode;
  if (!config || !mode || mode === "off") return [];
  return steps(config)
    .filter(({ value }) => value !== null)
    .map(({ value, color }) => ({
      yAxis: value, lineStyle: { color: css(color), type: "dashed", width: 1 }, label: { show: false },
    }));
}

function annotationLines({ annotations }: Context): Record<string, unknown>[] {
  return annotations.map(({ time, text, color }) => ({
    xAxis: time,
    name: text,
    lineStyle: { color: css(color), type: "dashed", width: 1 },
    label: { show: true, formatter: "▲", position: "start", distance: [0, 0], color: css(color), fontSize: 9 },
  }));
}

/** Selecting a part with the pointer looks closer at it. */
function dragToZoom(chart: echarts.ECharts, holder: HTMLElement, zoom: Context["zoom"]): void {
  const mark = el("div", { class: "selection", hidden: true });
  holder.append(mark);
  let began: number | null = null;
  holder.addEventListener("pointerdown", (event) => {
    const at = event.clientX - holder.getBoundingClientRect().left;
    const inside = chart.containPixel({ gridIndex: 0 }, [at, event.clientY - holder.getBoundingClientRect().top]);
    began = event.button === 0 && inside ? at : null;
  });
  holder.addEventListener("pointermove", (event) => {
    if (began === null) return;
    const at = event.clientX - holder.getBoundingClientRect().left;
    mark.hidden = Math.abs(at - began) < 6;
    mark.style.left = `${Math.min(at, began)}px`;
    mark.style.width = `${Math.abs(at - began)}px`;
  });
  holder.addEventListener("pointerup", (event) => {
    if (began !== null && !mark.hidden) {
      const ends = [began, event.clientX - holder.getBoundingClientRect().left]
        .map((x) => chart.convertFromPixel({ xAxisIndex: 0 }, x) as unknown as number)
        .sort((a, b) => a - b);
      zoom({ from: Math.round(ends[0]!), to: Math.round(ends[1]!) });
    }
    began = null;
    mark.hidden = true;
  });
}

function pointTooltip(series: Series[], context: Context): (points: any) => HTMLElement {
  return (given) => {
    const points = (Array.isArray(given) ? given : [given]).filter((one: any) => isNumber(one.value?.[1]));
    if (!points.length) return tooltipContent(given.name ?? "", []);
    const moment = points[0].value[0] as number;
    const sorted = context.panel.options?.tooltip?.sort === "desc"
      ? points.toSorted((a: any, b: any) => b.value[1] - a.value[1]) : points;
    const near = context.annotations.filter(({ time }) => Math.abs(time - moment) < (context.span.to - context.span.from) / 100);
    return tooltipContent(clock(moment), [
      ...sorted.slice(0, 12).map((one: any) => {
        const { field, color } = series[one.seriesIndex]!;
        return { color, name: one.seriesName, value: show(field, one.value[1]).text };
      }),
      ...(sorted.length > 12 ? [{ name: `and ${sorted.length - 12} more` }] : []),
      ...near.map(({ text, color }) => ({ color: css(color), name: text })),
    ]);
  };
}

export const timeseries: Renderer = (context) => {
  const series = seriesOf(context.frames);
  const { panel, span } = context;
  const keys = [...new Set(series.map(({ field }) => axisKey(field)))];
  const { chart, holder, end } = chartIn(context, `${panel.title ?? "Chart"}: ${series.map(({ name }) => name).join(", ")}`);
  const drawn = chartSeries(series, keys);
  const lines = [...thresholdLines(series), ...annotationLines(context)];
  if (drawn[0]) drawn[0].markLine = { silent: true, symbol: "none", animation: false, data: lines };
  chart.setOption({
    animation: false,
    grid: { left: 8, right: keys.length > 1 ? 8 : 14, top: 14, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: tooltip({
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: ink("muted"), type: "dotted" } },
      formatter: pointTooltip(series, context),
    }),
    xAxis: axis({
      type: "time",
      min: span.from,
      max: span.to,
      splitNumber: 6,
      splitLine: { show: false },
      axisLabel: { formatter: (value: number) => timeLabel(value, span) },
    }),
    yAxis: valueAxes(series, keys),
    series: drawn,
  });
  chart.group = "times";
  echarts.connect("times");
  dragToZoom(chart, holder, context.zoom);
  if (panel.options?.legend?.showLegend !== false && series.length) {
    const calcs: string[] = panel.options?.legend?.calcs ?? [];
    const items = series.map(({ name, color, field }) => ({
      name, color, figures: calcs.map((calc) => `${calc}: ${show(field, calculate(calc, field.values)).text}`),
    }));
    context.body.append(legend(items, (hidden) => {
      chart.setOption({ series: drawn.map((one) => ({ id: one.id, data: hidden.has(one.name as string) ? [] : one.data })) });
    }));
  }
  return end;
};
