// A bar for each figure, filled as far as its value goes.

import { SERIES, faded } from "../colors";
import { el } from "../dom";
import { isNumber, show } from "../fields";
import { linksOf } from "../links";
import type { Renderer } from "./context";
import { figuresOf } from "./stat";

export const bargauge: Renderer = (context) => {
  const figures = figuresOf(context);
  const numbers = figures.map(({ value }) => value).filter(isNumber);
  context.body.append(el("ul", { class: "bars" }, ...figures.map(({ name, field, frame, at, value }) => {
    const { text, color } = show(field, value);
    const low = field.config.min ?? Math.min(0, ...numbers);
    const high = field.config.max ?? Math.max(...numbers);
    const share = isNumber(value) && high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
    const hue = color ?? SERIES[0]!;
    const bar = el("span", { class: "bar-fill" });
    bar.style.width = `${share * 100}%`;
    bar.style.background = `linear-gradient(to right, ${faded(hue, 0.55)}, ${hue})`;
    const [link] = linksOf(field.config.links, context.place, { frame, at, field });
    const label = link
      ? el("a", { class: "bar-name", href: link.url, text: name, onclick: (event: MouseEvent) => {
          event.preventDefault();
          context.go(link.url);
        } })
      : el("span", { class: "bar-name", text: name });
    label.title = name;
    return el("li", {}, label, el("span", { class: "bar-track" }, bar), el("span", { class: "bar-value", text }));
  })));
};
