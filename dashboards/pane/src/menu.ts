// Where a value with several links leads: asked beside it, as Grafana does.

import { el } from "./dom";

interface Link {
  title: string;
  url: string;
}

/** Follows the only link of a value, or lets choose among several; Escape closes, and goes back. */
export function follow(links: Link[], from: HTMLElement, go: (url: string) => void): void {
  if (links.length === 1) {
    go(links[0]!.url);
    return;
  }
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return; // what is removed loses the focus, and would close once more
    isOpen = false;
    menu.remove();
  };
  const menu = el("div", {
    class: "popup menu", role: "group", "aria-label": "Links",
    onkeydown: (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      close();
      from.focus();
    },
    onfocusout: (event: FocusEvent) => {
      if (!menu.contains(event.relatedTarget as Node | null)) close();
    },
  }, ...links.map(({ title, url }) => el("a", {
    href: url, class: "button", text: title, onclick: (event: MouseEvent) => {
      event.preventDefault();
      close();
      go(url);
    },
  })));
  const { left, bottom } = from.getBoundingClientRect();
  menu.style.left = `${left}px`;
  menu.style.top = `${Math.min(bottom + 4, innerHeight - 60)}px`;
  document.body.append(menu);
  menu.querySelector("a")!.focus();
}
