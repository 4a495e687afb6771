// A choice of one or several, with a search: a button and a list that keys move in.

import { el, freshId } from "./dom";
import { ALL } from "./types";

export interface Option {
  text: string;
  value: string;
}

interface Settings {
  label: string;
  chosen: string[];
  isMulti: boolean;
  load: () => Promise<Option[]>;
  changed: (values: string[]) => void;
}

const MOST_SHOWN = 300;

export function summary(chosen: string[], textOf: (value: string) => string): string {
  if (!chosen.length) return "none";
  const texts = chosen.map(textOf);
  return texts.length > 2 ? `${texts[0]} + ${texts.length - 1}` : texts.join(" + ");
}

/** An entity's last part tells it apart; the whole is in the list. */
const plainText = (value: string): string => (value === ALL ? "All" : value);

export function choice({ label, chosen, isMulti, load, changed }: Settings): HTMLElement {
  const listId = freshId("list");
  let values = new Set(chosen);
  let options: Option[] = [];
  let active = 0;

  const words = el("span", { class: "choice-words", text: summary(chosen, plainText) });
  const button = el("button", {
    type: "button", class: "choice-button", "aria-haspopup": "listbox", "aria-expanded": "false",
    "aria-label": `${label}: ${summary(chosen, plainText)}`, title: chosen.map(plainText).join(", "),
    onclick: () => (popup.hidden ? void open() : close(true)),
  }, words, el("span", { "aria-hidden": "true", text: "▾" }));
  const search = el("input", {
    type: "search", placeholder: "Search", role: "combobox", "aria-expanded": "true", "aria-controls": listId,
    "aria-autocomplete": "list", "aria-label": `Search ${label}`, autocomplete: "off", spellcheck: "false",
    oninput: () => {
      active = 0;
      fill();
    },
  });
  const list = el("ul", { id: listId, role: "listbox", "aria-label": label, "aria-multiselectable": String(isMulti) });
  const popup = el("div", { class: "popup", hidden: true }, search, list);
  const root = el("div", {
    class: "choice",
    onkeydown: (event: KeyboardEvent) => keyed(event),
    onfocusout: (event: FocusEvent) => {
      if (!popup.hidden && !root.contains(event.relatedTarget as Node | null)) close(false);
    },
  }, el("span", { class: "choice-label", text: label, "aria-hidden": "true" }), button, popup);

  const found = (): Option[] => {
    const wanted = search.value.toLowerCase();
    return options.filter(({ text }) => text.toLowerCase().includes(wanted)).slice(0, MOST_SHOWN);
  };

  function fill(): void {
    const shown = found();
    active = Math.min(active, Math.max(0, shown.length - 1));
    list.replaceChildren(...shown.map(({ text, value }, at) => el("li", {
      role: "option", id: `${listId}-${at}`, "aria-selected": String(values.has(value)),
      class: at === active ? "active" : null, text, title: text,
      onpointerdown: (event: PointerEvent) => event.preventDefault(),
      onclick: () => pick(value),
    })));
    if (!shown.length) list.append(el("li", { class: "muted", text: "Nothing found" }));
    search.setAttribute("aria-activedescendant", shown.length ? `${listId}-${active}` : "");
    list.children[active]?.scrollIntoView({ block: "nearest" });
  }

  async function open(): Promise<void> {
    popup.hidden = false;
    button.setAttribute("aria-expanded", "true");
    search.value = "";
    active = 0;
    list.replaceChildren(el("li", { class: "muted", text: "Loading…" }));
    search.focus();
    try {
      options = await load();
      for (const value of values) {
        if (!options.some((one) => one.value === value)) options.unshift({ text: plainText(value), value });
      }
      fill();
    } catch (error) {
      list.replaceChildren(el("li", { class: "failed", text: error instanceof Error ? error.message : String(error) }));
    }
  }

  function close(isBack: boolean): void {
    popup.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (isBack) button.focus();
    const now = [...values];
    if (now.length !== chosen.length || now.some((one) => !chosen.includes(one))) changed(now);
  }

  /** One of several: All excludes the others, and none is All. */
  function pick(value: string): void {
    if (!isMulti) {
      values = new Set([value]);
      close(true);
      return;
    }
    if (value === ALL) values = new Set([ALL]);
    else {
      values.delete(ALL);
      if (!values.delete(value)) values.add(value);
      if (!values.size) values = new Set(options.some((one) => one.value === ALL) ? [ALL] : chosen);
    }
    fill();
  }

  function keyed(event: KeyboardEvent): void {
    if (popup.hidden) {
      if (event.key === "ArrowDown" && event.target === button) void open();
      else return;
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const count = found().length;
      if (count) active = (active + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
      fill();
    } else if (event.key === "Enter") {
      const option = found()[active];
      if (option) pick(option.value);
    } else if (event.key === "Escape") close(true);
    else return;
    event.preventDefault();
  }

  return root;
}
