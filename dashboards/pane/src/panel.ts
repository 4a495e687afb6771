// The frame around a panel: its title, what it asks, its table, and what went wrong.

import * as api from "./api";
import { el, freshId } from "./dom";
import { framesOf } from "./fields";
import { icon } from "./icons";
import { fillText } from "./links";
import { PANELS } from "./panels/index";
import type { Context, End } from "./panels/context";
import { table } from "./panels/table";
import { markdown } from "./panels/text";
import { intervalMs } from "./place";
import { transformed } from "./transform";
import type { Annotation, Panel, Place, QueryResult, Span } from "./types";

/** What a panel needs to know of the page. */
export interface Page {
  place: Place;
  span: Span;
  annotations: Annotation[];
  go: (url: string) => void;
  zoom: (span: Span) => void;
}

const ELSEWHERE: Record<string, string> = {
  alertlist: "Alert rules are watched by Grafana. What the lake found by itself is in its findings: `crosspane findings`.",
};

export class PanelView {
  readonly element: HTMLElement;
  private readonly body = el("div", { class: "panel-body" });
  private readonly notices = el("p", { class: "notice", hidden: true });
  private readonly buttons = el("div", { class: "panel-buttons" });
  private end: End | void = undefined;
  private asked: AbortController | null = null;
  private results: Record<string, QueryResult> | null = null;
  private seen = "";
  private isTable = false;
  private readonly heading = el("h3", { id: freshId("panel") });

  constructor(private readonly panel: Panel, private page: Page, enlarge: (() => void) | null) {
    const { heading } = this;
    heading.textContent = fillText(panel.title ?? "", page.place);
    this.element = el("section", {
      class: panel.transparent ? "panel transparent" : "panel", "aria-labelledby": heading.id, "data-panel": panel.id,
      "data-type": panel.type,
    }, el("header", {}, heading, this.about(), this.buttons), this.notices, this.body);
    if (this.asks && panel.type !== "table") this.buttons.append(this.tableButton());
    if (this.asks) this.buttons.append(this.sqlButton());
    if (enlarge) {
      this.buttons.append(el("button", {
        type: "button", onclick: enlarge,
        "aria-label": page.place.panel === null ? "This panel alone" : "All panels",
        title: page.place.panel === null ? "This panel alone" : "All panels",
      }, icon(page.place.panel === null ? "enlarge" : "shrink")));
    }
  }

  private get asks(): boolean {
    return Boolean(this.panel.targets?.length) && this.panel.type in PANELS;
  }

  /** The question and units of the query, behind a sign. */
  private about(): HTMLElement | null {
    if (!this.panel.description) return null;
    const words = markdown(this.panel.description, this.page.go);
    const details = el("details", { class: "about" }, el("summary", { text: "i", "aria-label": "What this shows" }), words);
    details.addEventListener("focusout", (event) => {
      if (!details.contains(event.relatedTarget as Node | null)) details.open = false;
    });
    return details;
  }

  private tableButton(): HTMLElement {
    return el("button", {
      type: "button", class: "as-table", "aria-pressed": "false", "aria-label": "Show as a table", title: "Show as a table",
      onclick: (event: MouseEvent) => {
        this.isTable = !this.isTable;
        (event.currentTarget as HTMLElement).setAttribute("aria-pressed", String(this.isTable));
        this.draw();
      },
    }, icon("table"));
  }

  private sqlButton(): HTMLElement {
    return el("button", {
      type: "button", text: "SQL", "aria-label": "Show the query", title: "Show the query", onclick: () => {
        const close = (): void => dialog.close();
        const dialog = el("dialog", { class: "sql", "aria-label": "Query", onclose: () => dialog.remove() },
          el("button", { type: "button", class: "close", text: "×", "aria-label": "Close", onclick: close }),
          ...this.panel.targets!.flatMap(({ refId, rawSql = "" }) =>
            [el("h4", { text: refId }), el("pre", { tabindex: 0, text: rawSql })]));
        document.body.append(dialog);
        dialog.showModal();
      },
    });
  }

  /** Asks again, and draws what came if it is not what is shown already. */
  async refresh(page: Page): Promise<void> {
    this.page = { ...page, annotations: page.annotations.length ? page.annotations : this.page.annotations };
    this.heading.textContent = fillText(this.panel.title ?? "", page.place);
    if (!this.asks) {
      this.plain();
      return;
    }
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    this.element.setAttribute("aria-busy", "true");
    const points = Math.max(50, Math.round(this.body.clientWidth || 600));
    try {
      const { results } = await api.query(
        page.place, page.span, this.panel.id, intervalMs(page.span, points, this.panel.interval), points, asked.signal);
      const seen = JSON.stringify([results, page.span, page.place]);
      this.results = results;
      if (seen !== this.seen) this.draw();
      this.seen = seen;
    } catch (error) {
      if (asked.signal.aborted) return;
      this.fail(error instanceof Error ? error.message : String(error));
    }
    if (this.asked === asked) this.element.removeAttribute("aria-busy");
  }

  annotate(annotations: Annotation[]): void {
    const isSame = JSON.stringify(annotations) === JSON.stringify(this.page.annotations);
    this.page = { ...this.page, annotations };
    if (!isSame && this.panel.type === "timeseries") this.draw();
  }

  /** Panels without a query are words; of a type we do not draw, they say so. */
  private plain(): void {
    this.clear();
    const renderer = PANELS[this.panel.type];
    if (renderer) this.end = renderer(this.context([]));
    else this.body.append(markdown(ELSEWHERE[this.panel.type] ?? `Panels of type ${this.panel.type} are drawn by Grafana.`, this.page.go));
    this.element.dataset.state = "drawn";
  }

  private context(frames: Context["frames"]): Context {
    const { place, span, annotations, go, zoom } = this.page;
    return { panel: this.panel, body: this.body, frames, place, span, annotations, go, zoom };
  }

  private clear(): void {
    this.end?.();
    this.end = undefined;
    this.body.replaceChildren();
    this.notices.hidden = true;
  }

  private fail(message: string): void {
    this.clear();
    this.seen = "";
    this.element.dataset.state = "failed";
    this.body.append(el("p", { class: "failed", role: "alert", text: message }));
  }

  draw(): void {
    if (!this.results) return this.asks ? undefined : this.plain();
    const results = Object.values(this.results);
    const errors = Object.entries(this.results).filter(([, one]) => one.error).map(([ref, one]) => `${ref}: ${one.error}`);
    if (errors.length) return this.fail(errors.join("\n"));
    const frames = framesOf(this.panel, transformed(this.panel, results.flatMap((one) => one.frames ?? [])));
    const told = results.flatMap((one) => one.notices ?? []);
    const focused = this.body.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.id : undefined;
    this.clear();
    this.notices.hidden = !told.length;
    this.notices.textContent = told.join(" ");
    if (!frames.some((one) => one.length && one.fields.length)) {
      this.element.dataset.state = "empty";
      this.body.append(el("p", { class: "empty", text: this.panel.fieldConfig?.defaults.noValue ?? "No data" }));
      return undefined;
    }
    try {
      this.end = (this.isTable ? table : PANELS[this.panel.type]!)(this.context(frames));
      this.element.dataset.state = "drawn";
      if (focused) this.body.querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    } catch (error) {
      console.error(error);
      this.fail(`This panel cannot be drawn: ${error instanceof Error ? error.message : error}`);
    }
    return undefined;
  }

  close(): void {
    this.asked?.abort();
    this.clear();
  }
}
