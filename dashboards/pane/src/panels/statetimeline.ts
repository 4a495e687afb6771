// States over time: a row a series, a bar as long as a state lasted.

import { SERIES, readableOn } from "../colors";
import { el } from "../dom";
import { isHidden, nameOf, show } from "../fields";
import { describe, tooltipContent } from "../tooltip";
import type { Field, Span } from "../types";
import { clock, format } from "../units";
import { timeLabel } from "./chart";
import type { Renderer } from "./context";
import { legend } from "./legend";
import { stretches, type Stretch } from "./stretches";

function row(name: string, field: Field, parts: Stretch[], span: Span, colorOf: (value: unknown) => string, hasWords: boolean): HTMLElement {
  const track = el("div", { class: "states-track" });
  const share = (at: number): number => ((at - span.from) / (span.to - span.from)) * 100;
  for (const { from, to, value } of parts) {
    const color = colorOf(value);
    const { text } = show(field, value);
    const bar = el("div", { class: "states-bar" }, hasWords ? el("span", { text }) : null);
    bar.style.left = `${share(from)}%`;
    bar.style.width = `${share(to) - share(from)}%`;
    bar.style.background = color;
    bar.style.color = readableOn(color);
    describe(bar, () => tooltipContent(name, [
      { color, name: text, value: format(to - from, "ms") },
      { name: `${clock(from)} to ${clock(to, false)}` },
    ]));
    track.append(bar);
  }
  const words = parts.map(({ from, value }) => `${show(field, value).text} from ${clock(from, false)}`).join(", ");
  return el("div", { class: "states-row", role: "img", "aria-label": `${name}: ${words || "no data"}` },
    el("div", { class: "states-name", text: name, title: name }), track);
}

export const stateTimeline: Renderer = (context) => {
  const { panel, frames, span } = context;
  const merge = panel.options?.mergeValues !== false;
  const palette = new Map<string, string>();
  const seen = new Map<string, string>();
  const rows = frames.flatMap((frame) => {
    const time = frame.fields.find((one) => one.type === "time");
    if (!time) return [];
    const states = frame.fields.filter((one) => one !== time && !isHidden(one));
    return states.map((field) => {
      const colorOf = (value: unknown): string => {
        const shown = show(field, value);
        if (!palette.has(shown.text)) palette.set(shown.text, shown.color ?? SERIES[palette.size % SERIES.length]!);
        seen.set(shown.text, palette.get(shown.text)!);
        return palette.get(shown.text)!;
      };
      const parts = stretches(time.values as number[], field.values, span, merge);
      return row(nameOf(field, states), field, parts, span, colorOf, panel.options?.showValue !== "never");
    });
  });
  const marks = el("div", { class: "states-axis", "aria-hidden": "true" }, ...[0, 0.25, 0.5, 0.75, 1].map((share) =>
    el("span", { text: timeLabel(span.from + share * (span.to - span.from), span) })));
  context.body.append(el("div", { class: "states" }, el("div", { class: "states-rows" }, ...rows, marks)));
  if (panel.options?.legend?.showLegend !== false) {
    context.body.append(legend([...seen].map(([name, color]) => ({ name, color }))));
  }
};
