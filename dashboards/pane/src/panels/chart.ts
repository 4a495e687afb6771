// What all charts share: ECharts with the parts we use, its colours, its end.

import { BarChart, HeatmapChart, LineChart, LinesChart, ScatterChart } from "echarts/charts";
import {
  GeoComponent, GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent, VisualMapComponent,
} from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

import { ink } from "../colors";
import { el } from "../dom";
import type { Context, End } from "./context";

echarts.use([
  BarChart, HeatmapChart, LineChart, LinesChart, ScatterChart, GeoComponent, GridComponent,
  MarkAreaComponent, MarkLineComponent, TooltipComponent, VisualMapComponent, CanvasRenderer,
]);

export { echarts };

/** A chart in a panel's body that follows its size; its words for those who do not see it. */
export function chartIn(context: Context, words: string): { chart: echarts.ECharts; holder: HTMLElement; end: End } {
  const holder = el("div", { class: "chart", role: "img", "aria-label": words });
  context.body.append(holder);
  const chart = echarts.init(holder, null, { renderer: "canvas" });
  const observer = new ResizeObserver(() => {
    if (holder.clientWidth && holder.clientHeight) chart.resize();
  });
  observer.observe(holder);
  return {
    chart,
    holder,
    end: () => {
      observer.disconnect();
      chart.dispose();
    },
  };
}

/** An axis without decoration: small grey words, hair lines. */
export function axis(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: ink("grid") } },
    nameTextStyle: { color: ink("muted") },
    ...more,
    axisLabel: { color: ink("muted"), fontSize: 11, hideOverlap: true, ...(more.axisLabel as object) },
  };
}

export function tooltip(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    backgroundColor: ink("raised"),
    borderColor: ink("border"),
    borderWidth: 1,
    padding: 8,
    confine: false,
    appendTo: "body",
    transitionDuration: 0,
    extraCssText: "box-shadow: 0 4px 16px rgba(0,0,0,.2); border-radius: 6px; z-index: 50",
    textStyle: { color: ink("text"), fontSize: 12 },
    ...more,
  };
}

const two = (number: number): string => String(number).padStart(2, "0");

/** Words of a time axis: seconds only where the span is minutes, days where it is days. */
export function timeLabel(milliseconds: number, span: { from: number; to: number }): string {
  const at = new Date(milliseconds);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (span.to - span.from < 10 * 60_000) return `${time}:${two(at.getSeconds())}`;
  if (span.to - span.from <= 25 * 3_600_000) return time;
  return `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}
