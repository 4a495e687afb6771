// Names of series under a chart; each is a button that hides its series.

import { el } from "../dom";

export interface Item {
  name: string;
  color: string;
  figures?: string[];
}

export function legend(items: Item[], changed?: (hidden: Set<string>) => void): HTMLElement {
  const hidden = new Set<string>();
  return el("div", { class: "legend" }, ...items.map(({ name, color, figures = [] }) => {
    const key = el("span", { class: "swatch" });
    key.style.background = color;
    const words = [key, el("span", { text: name }), ...figures.map((one) => el("span", { class: "figure", text: one }))];
    if (!changed) return el("span", { class: "legend-item" }, ...words);
    return el("button", {
      class: "legend-item", type: "button", "aria-pressed": "true", title: `Hide or show ${name}`,
      onclick: (event: MouseEvent) => {
        if (!hidden.delete(name)) hidden.add(name);
        (event.currentTarget as HTMLElement).setAttribute("aria-pressed", String(!hidden.has(name)));
        changed(hidden);
      },
    }, ...words);
  }));
}
