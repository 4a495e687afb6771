// One tooltip for the whole page; charts and our own drawings use the same.

import { el } from "./dom";

export interface Line {
  color?: string | null;
  name: string;
  value?: string;
}

const box = el("div", { class: "tooltip", role: "tooltip", hidden: true });

export function tooltipContent(title: string, lines: Line[]): HTMLElement {
  const rows = lines.map(({ color, name, value }) => {
    const key = el("span", { class: "swatch" });
    if (color) key.style.background = color;
    return el("tr", {}, el("td", {}, color ? key : null), el("td", { text: name }), el("td", { text: value ?? "" }));
  });
  return el("div", {}, el("div", { class: "tooltip-title", text: title }), el("table", {}, ...rows));
}

function place(x: number, y: number): void {
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = x + 14 + width > innerWidth ? x - width - 14 : x + 14;
  const top = y + 14 + height > innerHeight ? y - height - 14 : y + 14;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.max(4, top)}px`;
}

export function showTooltip(event: { clientX: number; clientY: number }, content: HTMLElement): void {
  if (!box.isConnected) document.body.append(box);
  box.replaceChildren(content);
  box.hidden = false;
  place(event.clientX, event.clientY);
}

export function hideTooltip(): void {
  box.hidden = true;
}

/** Shows what `content` says while the pointer is over an element, or the focus on it. */
export function describe(element: HTMLElement | SVGElement, content: () => HTMLElement): void {
  element.addEventListener("pointermove", (event) => showTooltip(event as PointerEvent, content()));
  element.addEventListener("pointerleave", hideTooltip);
}
