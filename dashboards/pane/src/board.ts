// A dashboard on the page: rows that fold, panels in a grid of 24 columns, asked when they are seen.

import { el, freshId } from "./dom";
import { fillText } from "./links";
import { PanelView, type Page } from "./panel";
import type { Annotation, Dashboard, Panel } from "./types";

interface Section {
  title: string | null;
  isFolded: boolean;
  panels: Panel[];
}

/** Panels up to the first row, then those of each row; a folded row holds its own. */
export function sectionsOf(panels: Panel[]): Section[] {
  const sections: Section[] = [{ title: null, isFolded: false, panels: [] }];
  for (const panel of [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x)) {
    if (panel.type === "row") {
      sections.push({ title: panel.title ?? "", isFolded: panel.collapsed === true, panels: [...(panel.panels ?? [])] });
    } else sections.at(-1)!.panels.push(panel);
  }
  return sections.filter(({ title, panels: held }) => title !== null || held.length);
}

export class Board {
  readonly element = el("div", { class: "board" });
  private readonly views = new Map<Element, PanelView>();
  private readonly titles = new Map<HTMLElement, string>();
  private readonly stale = new Set<PanelView>();
  private readonly visible = new Set<Element>();
  private readonly observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.visible.add(target);
      else this.visible.delete(target);
    }
    this.askVisible();
  }, { rootMargin: "300px" });

  constructor(dashboard: Dashboard, private page: Page) {
    const alone = page.place.panel;
    const sections = alone === null ? sectionsOf(dashboard.panels) : [aloneOf(dashboard, alone)];
    for (const section of sections) this.element.append(this.section(section, alone !== null));
    this.refresh(page);
  }

  private section({ title, isFolded, panels }: Section, isAlone: boolean): HTMLElement {
    const top = Math.min(...panels.map(({ gridPos }) => gridPos.y));
    const grid = el("div", { class: isAlone ? "grid alone" : "grid", id: freshId("row"), hidden: isFolded });
    for (const panel of panels) grid.append(this.panel(panel, top));
    if (title === null) return grid;
    const words = el("span", { text: fillText(title, this.page.place) });
    this.titles.set(words, title);
    const sign = el("span", { class: "sign", "aria-hidden": "true", text: isFolded ? "▸" : "▾" });
    const button = el("button", {
      type: "button", class: "row-title", "aria-expanded": String(!isFolded), "aria-controls": grid.id, onclick: () => {
        grid.hidden = !grid.hidden;
        sign.textContent = grid.hidden ? "▸" : "▾";
        button.setAttribute("aria-expanded", String(!grid.hidden));
      },
    }, sign, words);
    return el("section", { class: "row" }, el("h2", {}, button), grid);
  }

  private panel(panel: Panel, top: number): HTMLElement {
    const view = new PanelView(panel, this.page, () => {
      const { go, place } = this.page;
      const query = new URLSearchParams(location.search);
      if (place.panel === null) query.set("viewPanel", String(panel.id));
      else query.delete("viewPanel");
      go(`${location.pathname}?${query}`);
    });
    const { x, y, w, h } = panel.gridPos;
    view.element.style.setProperty("--at", `${x + 1} / span ${w}`);
    view.element.style.setProperty("--from", `${y - top + 1} / span ${h}`);
    view.element.style.setProperty("--height", `${h * 38 - 8}px`);
    this.views.set(view.element, view);
    this.observer.observe(view.element);
    return view.element;
  }

  /** Asks what is seen now, and the others when they come into sight. */
  refresh(page: Page): void {
    this.page = page;
    for (const [words, title] of this.titles) words.textContent = fillText(title, page.place);
    for (const view of this.views.values()) this.stale.add(view);
    this.askVisible();
  }

  /** Marks on what is drawn over time; nothing is asked again for them. */
  annotate(annotations: Annotation[]): void {
    this.page = { ...this.page, annotations };
    for (const view of this.views.values()) view.annotate(annotations);
  }

  private askVisible(): void {
    for (const element of this.visible) {
      const view = this.views.get(element)!;
      if (this.stale.delete(view)) void view.refresh(this.page);
    }
  }

  /** Draws all again, in the colours of another theme. */
  redraw(): void {
    for (const view of this.views.values()) view.draw();
  }

  close(): void {
    this.observer.disconnect();
    for (const view of this.views.values()) view.close();
  }
}

function aloneOf({ panels }: Dashboard, id: number): Section {
  const all = panels.flatMap((one) => [one, ...(one.panels ?? [])]);
  const panel = all.find((one) => one.id === id);
  return { title: null, isFolded: false, panels: panel ? [{ ...panel, gridPos: { x: 0, y: 0, w: 24, h: 20 } }] : [] };
}
