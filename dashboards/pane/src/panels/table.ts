// Rows as a table: sorted by a click on a column, cells coloured, barred and linked.

import { faded, readableOn } from "../colors";
import { el } from "../dom";
import { isHidden, isNumber, nameOf, show } from "../fields";
import { linksOf } from "../links";
import { follow } from "../menu";
import type { Field, Frame } from "../types";
import type { Context, Renderer } from "./context";

const FIRST_ROWS = 200;

interface Order {
  field: Field;
  descending: boolean;
}

function sorted(frame: Frame, order: Order | null): number[] {
  const rows = Array.from({ length: frame.length }, (_, at) => at);
  if (!order) return rows;
  const { values } = order.field;
  const sign = order.descending ? -1 : 1;
  return rows.sort((a, b) => {
    const [one, other] = [values[a], values[b]];
    if (one === null || one === undefined) return 1;
    if (other === null || other === undefined) return -1;
    return sign * (isNumber(one) && isNumber(other) ? one - other : String(one).localeCompare(String(other)));
  });
}

function barOf(field: Field, value: number): number {
  const numbers = field.values.filter(isNumber);
  const low = field.config.min ?? Math.min(0, ...numbers);
  const high = field.config.max ?? Math.max(...numbers);
  return high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
}

function cell(field: Field, frame: Frame, at: number, { place, go }: Context): HTMLTableCellElement {
  const value = field.values[at];
  const { text, color } = show(field, value);
  const kind: string = field.config.custom?.cellOptions?.type ?? field.config.custom?.displayMode ?? "auto";
  const links = linksOf(field.config.links, place, { frame, at, field });
  const isMissing = value === null || value === undefined;
  const words = links.length && !isMissing
    ? el("a", {
        href: links[0]!.url, title: links.map(({ title }) => title).join(", "), text,
        onclick: (event: MouseEvent) => {
          if (event.ctrlKey || event.metaKey) return;
          event.preventDefault();
          follow(links, event.currentTarget as HTMLElement, go);
        },
      })
    : el("span", { text });
  const made = el("td", { class: field.type === "number" ? "number" : isMissing ? "missing" : null }, words);
  if (text.length > 30) made.title = text;
  if (color && !isMissing) {
    if (kind === "color-background") {
      const isSoft = field.config.custom?.cellOptions?.mode !== "basic";
      made.style.background = isSoft ? faded(color, 0.28) : color;
      if (!isSoft) made.style.color = readableOn(color);
      made.classList.add("coloured");
    } else if (kind === "color-text" || field.config.mappings?.length) words.style.color = color;
  }
  if ((kind === "gauge" || kind.includes("gauge")) && isNumber(value)) {
    const bar = el("span", { class: "cell-bar", "aria-hidden": "true" });
    bar.style.width = `${barOf(field, value) * 100}%`;
    bar.style.background = faded(color ?? "#4e7fe0", 0.35);
    made.classList.add("barred");
    made.prepend(bar);
  }
  return made;
}

export function tableOf(frame: Frame, context: Context): HTMLElement {
  const fields = frame.fields.filter((one) => !isHidden(one));
  const wanted = context.panel.options?.sortBy?.[0];
  const by = wanted && fields.find((one) => nameOf(one) === wanted.displayName || one.name === wanted.displayName);
  let order: Order | null = by ? { field: by, descending: wanted.desc === true } : null;
  let limit = FIRST_ROWS;
  const body = el("tbody");
  const more = el("button", { type: "button", class: "more", onclick: () => {
    limit += 1000;
    fill();
  } });
  const heads = fields.map((one) => {
    const button = el("button", { type: "button", text: nameOf(one), title: one.config.description ?? null, onclick: () => {
      order = { field: one, descending: order?.field === one ? !order.descending : one.type === "number" };
      fill();
    } });
    const head = el("th", { scope: "col", class: one.type === "number" ? "number" : null }, button);
    const width = one.config.custom?.width;
    if (width) head.style.width = `${width}px`;
    return head;
  });
  function fill(): void {
    heads.forEach((head, at) => {
      const isBy = order?.field === fields[at];
      head.setAttribute("aria-sort", isBy ? (order!.descending ? "descending" : "ascending") : "none");
    });
    const rows = sorted(frame, order);
    body.replaceChildren(...rows.slice(0, limit).map((at) =>
      el("tr", {}, ...fields.map((one) => cell(one, frame, at, context)))));
    more.hidden = rows.length <= limit;
    more.textContent = `Show more of ${rows.length} rows`;
  }
  fill();
  return el("div", { class: "table-holder", tabindex: 0, role: "region", "aria-label": context.panel.title ?? "Table" },
    el("table", { class: "rows" }, el("thead", {}, el("tr", {}, ...heads)), body), more);
}

/** Every frame with its columns: the panel `table`, and what each other panel shows as a table. */
export const table: Renderer = (context) => {
  for (const frame of context.frames) {
    if (!frame.fields.length) continue;
    if (context.frames.length > 1) context.body.append(el("h4", { text: frame.name || frame.refId }));
    context.body.append(tableOf(frame, context));
  }
};
