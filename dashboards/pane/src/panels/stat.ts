// One figure, or a few beside each other, over the line of what it was.

import { ink, readableOn } from "../colors";
import { el, svg } from "../dom";
import { calculate, field as fieldNamed, isHidden, isNumber, nameOf, show } from "../fields";
import { linksOf } from "../links";
import type { Field, Frame } from "../types";
import type { Context, Renderer } from "./context";

interface Figure {
  name: string;
  field: Field;
  frame: Frame;
  at: number;
  value: unknown;
}

/** What is shown: every row, or one value for each column by its calculation. */
export function figuresOf({ panel, frames }: Context): Figure[] {
  const { values = false, calcs = ["lastNotNull"], fields = "", limit = 25 } = panel.options?.reduceOptions ?? {};
  return frames.flatMap((frame) => {
    const named = fields && !/^\/.*\/$/.test(fields) ? fieldNamed(frame, fields) : undefined;
    const wanted = named ? [named] : frame.fields.filter((one) => !isHidden(one) && (one.type === "number" ||
      (fields === "/.*/" && one.type !== "time")));
    const chosen = wanted.length ? wanted : frame.fields.filter((one) => one.type === "string" && !isHidden(one));
    if (values) {
      const label = frame.fields.find((one) => one.type === "string");
      return Array.from({ length: Math.min(frame.length, limit) }, (_, at) => at).flatMap((at) => chosen.map((one) => ({
        name: [label && label !== one ? show(label, label.values[at]).text : "", chosen.length > 1 || !label ? nameOf(one) : ""]
          .filter(Boolean).join(" "),
        field: one, frame, at, value: one.values[at],
      })));
    }
    return chosen.map((one) => ({
      name: nameOf(one, chosen), field: one, frame, at: frame.length - 1, value: calculate(calcs[0], one.values),
    }));
  });
}

function sparkline({ values }: Field, color: string): SVGElement | null {
  const points = values.map((value, at) => [at, value] as const).filter((one): one is [number, number] => isNumber(one[1]));
  if (points.length < 2) return null;
  const low = Math.min(0, ...points.map(([, value]) => value));
  const high = Math.max(...points.map(([, value]) => value));
  const x = (at: number): string => ((at / (values.length - 1)) * 100).toFixed(2);
  const y = (value: number): string => (high > low ? 38 - ((value - low) / (high - low)) * 34 : 38).toFixed(2);
  const line = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at)} ${y(value)}`).join("");
  return svg("svg", { class: "sparkline", viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: `${line}L${x(points.at(-1)![0])} 40L${x(points[0]![0])} 40Z`, fill: color, opacity: 0.14 }),
    svg("path", { d: line, fill: "none", stroke: color, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
}

export const stat: Renderer = (context) => {
  const { panel, body, place, go } = context;
  const { colorMode = "value", graphMode = "none", textMode = "auto" } = panel.options ?? {};
  const figures = figuresOf(context);
  body.append(el("div", { class: "stats" }, ...figures.map(({ name, field, frame, at, value }) => {
    const { text, color } = show(field, value);
    const isFilled = colorMode.startsWith("background") && color;
    const [link] = linksOf(field.config.links, place, { frame, at, field });
    const hasName = textMode === "value_and_name" || textMode === "name" || (textMode === "auto" && figures.length > 1);
    const number = el("div", { class: "stat-value", text: textMode === "name" ? name : text });
    number.style.setProperty("--letters", String(Math.max(4, text.length)));
    const line = graphMode === "area" ? sparkline(field, isFilled ? readableOn(color) : (color ?? ink("accent"))) : null;
    const holder = el(link ? "a" : "div", {
      class: line ? "stat graphed" : "stat", href: link?.url ?? null, title: link?.title ?? null,
    },
      line,
      hasName && textMode !== "name" ? el("div", { class: "stat-name", text: name }) : null, number);
    if (isFilled) {
      holder.style.background = color;
      holder.style.color = readableOn(color);
    } else if (color && colorMode !== "none") number.style.color = color;
    if (link) holder.addEventListener("click", (event) => {
      event.preventDefault();
      go(link.url);
    });
    return holder;
  })));
};
