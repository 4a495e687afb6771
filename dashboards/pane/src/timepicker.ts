// Which span of time, and how often it is asked for again.

import { el, freshId } from "./dom";
import { icon } from "./icons";
import { QUICK, spanName } from "./place";
import type { Place, Span } from "./types";
import { ago, clock } from "./units";

interface Settings {
  place: Place;
  span: Span;
  data: Span | null;
  every: number;
  changed: (range: { from: string; to: string }) => void;
  refresh: () => void;
  setEvery: (seconds: number) => void;
}

const EVERY: [number, string][] = [[0, "Off"], [10, "10 s"], [30, "30 s"], [60, "1 min"], [300, "5 min"]];

/** What an input for local time takes: `2026-11-24T03:02:50`. */
const asInput = (milliseconds: number): string => clock(milliseconds).replace(" ", "T");

function absolute({ span, changed }: Settings): HTMLElement {
  const [fromId, toId] = [freshId("from"), freshId("to")];
  const from = el("input", { id: fromId, type: "datetime-local", step: 1, value: asInput(span.from) });
  const to = el("input", { id: toId, type: "datetime-local", step: 1, value: asInput(span.to) });
  return el("form", {
    onsubmit: (event: SubmitEvent) => {
      event.preventDefault();
      const [first, last] = [Date.parse(from.value), Date.parse(to.value)];
      if (first < last) changed({ from: String(first), to: String(last) });
      else to.setCustomValidity("The end is not after the beginning");
      to.reportValidity();
    },
  }, el("label", { for: fromId, text: "From" }), from, el("label", { for: toId, text: "To" }), to,
    el("button", { type: "submit", text: "Use this span" }));
}

export function timePicker(settings: Settings): HTMLElement {
  const { place, span, data, every, changed, refresh, setEvery } = settings;
  const popup = el("div", { class: "popup times", hidden: true },
    el("div", { class: "quick", role: "group", "aria-label": "Spans" }, ...QUICK.map(([from, to, text]) =>
      el("button", {
        type: "button", text, "aria-pressed": String(place.from === from && place.to === to),
        onclick: () => changed({ from, to }),
      }))),
    absolute(settings),
    el("p", { class: "muted", text: data
      ? `The lake has data from ${clock(data.from)} to ${clock(data.to)} (${ago(data.to, Date.now())}).`
      : "The lake has no data yet." }));
  const button = el("button", {
    type: "button", class: "time-button", "aria-expanded": "false", "aria-haspopup": "dialog",
    text: spanName(place, span), title: `${clock(span.from)} to ${clock(span.to)}`,
    onclick: () => toggle(popup.hidden === true),
  });
  function toggle(isOpen: boolean): void {
    popup.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) popup.querySelector("button")!.focus();
  }
  const root = el("div", {
    class: "choice time",
    onkeydown: (event: KeyboardEvent) => {
      if (event.key !== "Escape" || popup.hidden) return;
      toggle(false);
      button.focus();
    },
    onfocusout: (event: FocusEvent) => {
      if (event.relatedTarget && !root.contains(event.relatedTarget as Node)) toggle(false);
    },
  }, button, popup);
  const select = el("select", {
    "aria-label": "Refresh every", title: "Refresh every",
    onchange: (event: Event) => setEvery(Number((event.target as HTMLSelectElement).value)),
  }, ...EVERY.map(([seconds, text]) => el("option", { value: seconds, text, selected: seconds === every })));
  return el("div", { class: "times-bar" }, root,
    el("button", { type: "button", class: "refresh", "aria-label": "Refresh", title: "Refresh", onclick: refresh }, icon("refresh")), select);
}
